//! The list of all faults.

use super::{Fault, bodies, certificates, connection, sizes, statuses};

/// Passes all faults, in the order of `docs/faults.md`, to a macro: that of the table below, or one
/// that makes a test of each.
#[macro_export]
macro_rules! faults {
    ($macro:ident) => {
        $macro! {
            "Connection": {
                a_name_that_does_not_resolve_is_named_as_such:
                    "a host's name that does not resolve"
                    => "`Connect`, which names rebinding protection as a cause; retried",
                    connection::unresolved;
                a_refused_connection_is_retried_twice:
                    "connection refused" => "`Connect`, retried twice at most", connection::refused;
                a_closed_connection_is_retried:
                    "accepted and closed, before or after the request, in the middle of the head"
                    => "`Connect`, retried", connection::closed;
                a_reset_before_the_response_is_retried:
                    "reset at once, after the request, in the middle of the head"
                    => "`Connect`, retried", connection::reset;
                a_reset_in_the_body_is_a_body_cut_short:
                    "reset in the middle of the body" => "`BodyCutShort`, not retried",
                    connection::reset_in_body;
                silence_ends_in_a_timeout:
                    "silent before the head, in it, after it, in the middle of the body"
                    => "`Timeout` after `timeout`, not retried", connection::silent;
                a_trickle_ends_in_a_timeout:
                    "a byte every 100 ms without an end: status line, headers, body, chunk size"
                    => "`Timeout` after `timeout`, not retried", connection::trickle;
                endless_interim_responses_end_in_a_timeout:
                    "interim responses (103), one after the other without an end, 1,000 at once and no \
                     more" => "`Timeout` after `timeout`, not retried", connection::endless_interim;
                an_idle_connection_closed_by_the_server_is_replaced:
                    "a kept-alive connection that the server closed just before the next call"
                    => "the value", connection::kept_alive;
                a_response_that_nobody_asked_for_is_not_taken:
                    "bytes after the response, on a kept-alive connection"
                    => "the next call's own value, or `Connect` or `Protocol`", connection::unasked;
                what_is_not_http_is_named_as_such:
                    "SSH, SMTP, binary data, HTTP/2, HTTP/0.9 in place of HTTP/1.1"
                    => "`Protocol`, not retried", connection::not_http;
            }
            "TLS": {
                a_certificate_of_an_unknown_issuer_is_refused:
                    "unknown issuer" => "`Tls`, which says so; not retried, nothing sent",
                    certificates::unknown_issuer;
                a_certificate_for_another_name_is_refused:
                    "another name, at an IP address, `localhost` or a plex.direct name"
                    => "`Tls`, which says so and which name to use; not retried, nothing sent",
                    certificates::wrong_name;
                an_expired_certificate_is_refused:
                    "expired" => "`Tls`, which says so; not retried, nothing sent",
                    certificates::expired;
                a_certificate_with_hostile_names_shows_none_of_them:
                    "a certificate that names a terminal escape, a token, a host of 10,000 characters"
                    => "`Tls` without any of it, in its causes, too", certificates::hostile_names;
                a_plain_server_behind_https_gets_nothing:
                    "a plain server behind `https` that answers" => "`Tls`, not retried, nothing sent",
                    certificates::plain_server;
                a_server_that_closes_in_the_tls_handshake_is_named_as_such:
                    "a server behind `https` that closes or resets before or in the TLS handshake"
                    => "`Tls`, which names `http`; not retried", certificates::hung_up;
                a_tls_handshake_that_never_ends_is_a_timeout:
                    "TLS handshake: silent, a byte every 100 ms"
                    => "`Timeout` after `connect_timeout`, not retried", certificates::slow_handshake;
                a_tls_server_behind_http_is_named_as_such:
                    "a TLS server behind `http`" => "`Protocol`, which names `https`",
                    certificates::tls_server;
            }
            "Sizes": {
                a_body_without_end_is_cut_at_the_limit:
                    "a body without end: chunked, with a large `Content-Length`, until the close"
                    => "`BodyTooLarge`, not retried", sizes::endless_body;
                an_error_body_without_end_is_not_waited_for:
                    "an error's body without end" => "the status's error", sizes::endless_error_body;
                a_body_in_small_pieces_is_read:
                    "a body in writes of one byte, in chunks of one byte with padded sizes"
                    => "the value, or the error with the server's message", sizes::small_pieces;
                a_content_length_that_lies_is_refused:
                    "a `Content-Length` of 2^63, of 2^64, negative, not a number, two that differ"
                    => "`BodyTooLarge` or `Protocol`", sizes::content_length;
                the_body_limit_is_exact:
                    "a body one byte under, at and over the limit, in each framing"
                    => "the value, the value, `BodyTooLarge`", sizes::at_limit;
                a_huge_head_is_refused:
                    "a head of 10 MB, 100,000 headers, a header of 10 MB, a status line without end"
                    => "`Protocol`", sizes::huge_head;
                a_broken_chunk_is_a_body_cut_short:
                    "chunks whose size is not a number, too large or without end"
                    => "`BodyCutShort`", sizes::bad_chunks;
                a_compressed_body_is_refused_and_an_identity_is_taken:
                    "a body with a `Content-Encoding`, gzip and zstd without one, a bomb"
                    => "`Decode`, which says so; `identity` and an empty one are no encoding",
                    sizes::encoded;
            }
            "Status": {
                each_status_has_its_error:
                    "each of 200..=999, with no body, a JSON, an HTML, an XML and a binary one"
                    => "the error of the status", statuses::all;
                interim_statuses_are_skipped:
                    "each of 100..=199 before the response" => "the value; for 101 `Status`",
                    statuses::interim;
                an_interim_status_is_no_response:
                    "each of 100..=199 and a close" => "`Connect`; for 101 `Status`",
                    statuses::only_interim;
                an_invalid_status_is_refused:
                    "a status of 0, 99, 1000, -1, or in letters" => "`Protocol`", statuses::broken;
                a_redirect_is_never_followed:
                    "3xx to the same origin, another port, another host, from `https` to `http`, to \
                     nowhere, with a token in `Location`"
                    => "`Redirect`; nothing is sent there",
                    statuses::redirects;
            }
            "Bodies": {
                a_body_cut_short_at_any_byte_is_an_error:
                    "cut short at every byte, in each framing" => "`BodyCutShort`; `Decode` for none",
                    bodies::cut;
                any_json_in_any_place_is_a_value_or_an_error:
                    "every JSON type, 100,000 nested arrays or objects, a number of 1,000 digits, in \
                     every place" => "the value, where the field is not needed; else `Decode`, \
                     `NoToken` or `NoDevice`", bodies::any_json;
                an_xml_body_cannot_blow_up:
                    "XML: 20,000 nested elements, 64 kB of nested namespaces, 1 MB of elements or \
                     attributes, entities of entities, an external entity"
                    => "the status's error; `Decode` for 200", bodies::hostile_xml;
                a_long_text_takes_linear_time:
                    "a token, a name, a host and a path of 300,000 characters" => "the value",
                    bodies::long;
                an_error_that_repeats_the_token_is_redacted:
                    "a body that repeats the caller's token, in JSON, XML, HTML and text"
                    => "the error, the token redacted", bodies::echoes;
            }
            "Calls": {
                a_dropped_future_leaves_the_client_usable:
                    "a future dropped at each point" => "the next call's value", connection::dropped;
            }
        }
    };
}

macro_rules! table {
    ($($section:literal: {
        $($test:ident: $fault:literal => $result:literal, $cases:path;)*
    })*) => {
        &[$($(Fault {
            section: $section,
            test: stringify!($test),
            fault: $fault,
            result: $result,
            cases: $cases,
        },)*)*]
    };
}

pub fn table() -> &'static [Fault] {
    faults!(table)
}
