//! The changes between two extracts, and which of them break this client.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use itertools::Itertools;
use serde_json::Value;

use crate::compare_schemas::{Direction, Place, value_words, words};
use crate::extract::{Content, Extract, Operation, Parameter, ParameterKey, SchemeName, Security};
use crate::text;

/// One change, in one line.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) breaking: bool,
    pub(crate) line: String,
    /// Printed after the line by `drift`.
    pub(crate) note: &'static str,
}

/// All changes from `old` to `new`: paths and verbs first, then the parts that cannot be read.
/// `client` is the fragment: it describes what the client sends and reads.
pub(crate) fn compare(old: &Extract, new: &Extract, client: &Extract) -> Vec<Change> {
    let mut verbs = Changes::default();
    let mut others = Changes::default();
    for (path, old, new) in pairs(&old.paths, &new.paths) {
        let Some((Some(old), Some(new))) = verbs.both(path, old, new, PRESENCE) else { continue };
        let mut clients = client.paths.get(path).into_iter().flatten().flat_map(BTreeMap::values);
        let client = clients.next().and_then(Option::as_ref);
        let mut compare = |verb: &str, old: &Option<Operation>, new: &Option<Operation>| {
            if let (Some(old), Some(new)) = (old, new) {
                let at = format!("{} {path}", verb.to_uppercase());
                Comparison { at, old, new, client, changes: &mut others }.compare();
            }
        };
        let single = old.len() == 1 && new.len() == 1;
        for ((was, old), (is, new)) in old.iter().zip(new).filter(|_| single) {
            if was != is {
                let [was, is] = [was, is].map(|verb| verb.to_uppercase());
                verbs.add(true, format!("{path}: verb"), &was, &is);
            }
            compare(was, old, new);
        }
        for (verb, old, new) in pairs(old, new).filter(|_| !single) {
            let place = format!("{} {path}", verb.to_uppercase());
            if let Some((old, new)) = verbs.both(place, old, new, PRESENCE) {
                compare(verb, old, new);
            }
        }
    }
    new.defects.iter().for_each(|defect| verbs.push(true, defect));
    // A keyword of a schema with several types is compared once for each type.
    verbs.0.into_iter().chain(others.0).unique_by(|change| change.line.clone()).collect()
}

#[derive(Default)]
pub(crate) struct Changes(pub(crate) Vec<Change>);

impl Changes {
    pub(crate) fn add(&mut self, breaking: bool, place: impl fmt::Display, was: &str, is: &str) {
        self.push(breaking, &format!("{place}: was {}, is {}", text::cut(was), text::cut(is)));
    }

    fn push(&mut self, breaking: bool, text: &str) {
        let class = if breaking { "breaking" } else { "compatible" };
        let line = text::line(&format!("{class}: {text}"));
        self.0.push(Change { breaking, line, note: "" });
    }

    /// Returns what exists on both sides. Something that exists on one side only is a change.
    pub(crate) fn both<T>(
        &mut self,
        place: impl fmt::Display,
        old: Option<T>,
        new: Option<T>,
        presence: Presence<'_>,
    ) -> Option<(T, T)> {
        let (was, going_breaks, is, coming_breaks) = presence;
        match (old, new) {
            (Some(old), Some(new)) => return Some((old, new)),
            (Some(_), None) => self.add(going_breaks, place, was, "gone"),
            (None, _) => self.add(coming_breaks, place, "absent", is),
        }
        None
    }
}

/// How to describe something that is gone, whether that breaks, and the same for something new.
type Presence<'a> = (&'a str, bool, &'a str, bool);

/// For paths and verbs.
const PRESENCE: Presence<'static> = ("there", true, "there", false);

/// The comparison of one operation.
struct Comparison<'a> {
    at: String,
    old: &'a Operation,
    new: &'a Operation,
    /// The fragment's own operation at this path.
    client: Option<&'a Operation>,
    changes: &'a mut Changes,
}

impl Comparison<'_> {
    fn add(&mut self, breaking: bool, place: impl fmt::Display, was: &str, is: &str) {
        self.changes.add(breaking, format!("{}: {place}", self.at), was, is);
    }

    fn compare(&mut self) {
        self.servers();
        self.parameters();
        self.request_body();
        self.security();
        self.responses();
    }

    fn servers(&mut self) {
        let words = |servers: &[Value]| match servers {
            [] => "the server's own address".to_owned(),
            servers => servers.iter().map(|it| value_words(it.get("url"))).join(" or "),
        };
        let (was, is) = (&self.old.servers, &self.new.servers);
        if was != is {
            self.add(true, "servers", &words(was), &words(is));
        }
    }

    fn parameters(&mut self) {
        let (old, new) = (&self.old.parameters, &self.new.parameters);
        let mut added: BTreeMap<_, _> =
            new.iter().filter(|(it, _)| !old.contains_key(*it)).collect();
        for (key, was) in old {
            let (within, name) = key;
            let place = parameter_place(key, was);
            let moved = added.keys().find(|(_, other)| other.eq_ignore_ascii_case(name));
            if let Some(is) = new.get(key) {
                self.parameter(key, was, is);
            } else if let Some((to, is)) = moved.copied().and_then(|to| added.remove_entry(to)) {
                let from = format!("a {within} parameter");
                self.add(true, &place, &from, &format!("a {}", parameter_place(to, is)));
                self.parameter(to, was, is);
            } else if !self.new.lacks_parameters {
                let alike = |is: &Parameter| {
                    (is.required, &is.schema, &is.form) == (was.required, &was.schema, &was.form)
                };
                let renamed = added.iter().find(|((other, _), is)| other == within && alike(is));
                let hint = renamed.map(|(_, is)| format!(" (`{}` is new and alike)", is.name));
                let is = format!("gone{}", hint.unwrap_or_default());
                let harmless = !was.required && matches!(within.as_str(), "header" | "cookie");
                self.add(!harmless, &place, &parameter_words(was), &is);
            }
        }
        for (key, is) in added {
            self.add(is.required, parameter_place(key, is), "absent", &parameter_words(is));
        }
    }

    fn parameter(&mut self, key: &ParameterKey, old: &Parameter, new: &Parameter) {
        let place = parameter_place(key, new);
        if old.required != new.required {
            self.add(new.required, &place, need(old.required), need(new.required));
        }
        let sent = self.client.and_then(|client| client.parameters.get(key));
        // The client ignores headers that it does not send and that nobody requires.
        let matters = key.0 != "header" && key.0 != "cookie" || new.required || sent.is_some();
        for (keyword, was, is) in pairs(&old.form, &new.form).filter(|it| it.1 != it.2) {
            let place = format!("{place}, `{}`", text::cut(keyword));
            self.add(matters, place, &value_words(was), &value_words(is));
        }
        let (was, is) = (old.schema.default.as_ref(), new.schema.default.as_ref());
        if was != is && !new.schema.unreadable {
            let place = format!("{place}, `default`");
            self.add(matters, place, &value_words(was), &value_words(is));
        }
        let subject = format!("{}: {place}", self.at);
        let direction = Direction::Sent { matters };
        let place = Place::new(&subject, direction, sent.map(|sent| &sent.schema));
        self.changes.compare(&place, &old.schema, &new.schema);
    }

    fn request_body(&mut self) {
        let (was, is) = (self.old.request_body.as_ref(), self.new.request_body.as_ref());
        let required = is.is_some_and(|it| it["required"] != false && !it["required"].is_null());
        let is_words = match was {
            None => need(required).to_owned(),
            Some(_) => value_words(is),
        };
        if was != is {
            self.add(required, "request body", &value_words(was), &is_words);
        }
    }

    fn security(&mut self) {
        let (Some(old), Some(new)) = (&self.old.security, &self.new.security) else { return };
        let schemes = |security: &Security| -> BTreeSet<String> {
            let words = |schemes: &BTreeMap<_, _>| match schemes.is_empty() {
                true => "nothing".to_owned(),
                false => schemes.keys().map(scheme_words).join(" with "),
            };
            security.iter().map(words).collect()
        };
        let (was, is) = (schemes(old), schemes(new));
        let exchanged = was == is && old != new;
        if was != is {
            let breaking = !was.is_subset(&is);
            self.add(breaking, "security", &was.iter().join(" or "), &is.iter().join(" or "));
        }
        let roles = |security: &Security| -> BTreeSet<String> {
            let roles = security.iter().flat_map(BTreeMap::values).flatten();
            roles.map(|role| format!("`{role}`")).collect()
        };
        let (was, is) = (roles(old), roles(new));
        if was != is || exchanged {
            // OpenAPI 3.0 cannot express roles.
            let breaking = !is.is_empty();
            let words = |roles: &BTreeSet<String>| match roles.is_empty() {
                true => "unsaid".to_owned(),
                false => roles.iter().join(", "),
            };
            self.add(breaking, "security, roles", &words(&was), &words(&is));
        }
    }

    fn responses(&mut self) {
        for (status, old, new) in pairs(&self.old.responses, &self.new.responses) {
            let breaks = !status.starts_with(['4', '5']) && status != "default";
            let place = format!("{}: status {}", self.at, text::cut(status));
            let both = self.changes.both(place, old, new, ("there", breaks, "new", breaks));
            if let Some((Some(old), Some(new))) = both {
                self.content(status, &old.content, &new.content);
            }
        }
    }

    fn content(&mut self, status: &str, old: &Content, new: &Content) {
        let at = format!("{}: {}", self.at, text::cut(status));
        for (media_type, old, new) in pairs(old, new) {
            let is_read = status == "200" && media_type == "application/json";
            let place = format!("{at} content `{}`", text::cut(media_type));
            let both = self.changes.both(place, old, new, ("there", is_read, "new", false));
            let Some((old, new)) = both else { continue };
            let read = self.client.filter(|_| is_read).and_then(|client| {
                Some(&client.responses.get(status)?.as_ref()?.content.get(media_type)?.schema)
            });
            let subject = match media_type.as_str() {
                "application/json" => format!("{at} body"),
                other => format!("{at} body as `{}`", text::cut(other)),
            };
            let place = Place::new(&subject, Direction::Received, read);
            self.changes.compare(&place, &old.schema, &new.schema);
        }
    }
}

/// The keys of both maps, each with its two values.
pub(crate) fn pairs<'a, K: Ord, V>(
    one: &'a BTreeMap<K, V>,
    two: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, Option<&'a V>, Option<&'a V>)> {
    let keys: BTreeSet<_> = one.keys().chain(two.keys()).collect();
    keys.into_iter().map(|key| (key, one.get(key), two.get(key)))
}

fn parameter_place((within, _): &ParameterKey, parameter: &Parameter) -> String {
    format!("{} parameter `{}`", text::cut(within), text::cut(&parameter.name))
}

fn parameter_words(parameter: &Parameter) -> String {
    let article = if parameter.required { "a" } else { "an" };
    format!("{article} {} {}", need(parameter.required), words(&parameter.schema))
}

fn scheme_words(name: &SchemeName) -> String {
    match *name.splitn(3, '.').collect::<Vec<_>>() {
        [kind, place, name] => format!("{kind} `{name}` in {place}"),
        [kind, scheme] => format!("{kind} `{scheme}`"),
        _ => name.clone(),
    }
}

fn need(required: bool) -> &'static str {
    if required { "required" } else { "optional" }
}
