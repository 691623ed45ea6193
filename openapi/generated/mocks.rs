// Generated from `openapi/plex-auth.json` by `cargo xtask accept`. This is compiled when the feature
// `codegen` is off.

pub mod operations {
    //! [`When`](::httpmock::When) and [`Then`](::httpmock::Then)
    //! wrappers for each operation. Each can be converted to
    //! its inner type with a call to `into_inner()`. This can
    //! be used to explicitly deviate from permitted values.
    use crate::api::generated::*;
    pub struct GetIdentityWhen(::httpmock::When);
    impl GetIdentityWhen {
        pub fn new(inner: ::httpmock::When) -> Self {
            Self(
                inner
                    .method(::httpmock::Method::GET)
                    .path_matches(regex::Regex::new("^/identity$").unwrap()),
            )
        }
        pub fn into_inner(self) -> ::httpmock::When {
            self.0
        }
    }
    pub struct GetIdentityThen(::httpmock::Then);
    impl GetIdentityThen {
        pub fn new(inner: ::httpmock::Then) -> Self {
            Self(inner)
        }
        pub fn into_inner(self) -> ::httpmock::Then {
            self.0
        }
        pub fn ok(self, value: &types::IdentityBody) -> Self {
            Self(
                self
                    .0
                    .status(200u16)
                    .header("content-type", "application/json")
                    .json_body_obj(value),
            )
        }
    }
    pub struct GetSourceConnectionInformationWhen(::httpmock::When);
    impl GetSourceConnectionInformationWhen {
        pub fn new(inner: ::httpmock::When) -> Self {
            Self(
                inner
                    .method(::httpmock::Method::GET)
                    .path_matches(regex::Regex::new("^/security/resources$").unwrap()),
            )
        }
        pub fn into_inner(self) -> ::httpmock::When {
            self.0
        }
        pub fn refresh<'a, T>(self, value: T) -> Self
        where
            T: Into<Option<&'a u8>>,
        {
            if let Some(value) = value.into() {
                Self(self.0.query_param("refresh", value.to_string()))
            } else {
                Self(self.0.query_param_missing("refresh"))
            }
        }
        pub fn source(self, value: &str) -> Self {
            Self(self.0.query_param("source", value.to_string()))
        }
    }
    pub struct GetSourceConnectionInformationThen(::httpmock::Then);
    impl GetSourceConnectionInformationThen {
        pub fn new(inner: ::httpmock::Then) -> Self {
            Self(inner)
        }
        pub fn into_inner(self) -> ::httpmock::Then {
            self.0
        }
        pub fn ok(self, value: &types::SourceBody) -> Self {
            Self(
                self
                    .0
                    .status(200u16)
                    .header("content-type", "application/json")
                    .json_body_obj(value),
            )
        }
        pub fn bad_request(self, value: ::serde_json::Value) -> Self {
            Self(
                self
                    .0
                    .status(400u16)
                    .header("content-type", "application/json")
                    .json_body(value),
            )
        }
        pub fn unauthorized(self, value: ::serde_json::Value) -> Self {
            Self(
                self
                    .0
                    .status(401u16)
                    .header("content-type", "application/json")
                    .json_body(value),
            )
        }
        pub fn forbidden(self, value: ::serde_json::Value) -> Self {
            Self(
                self
                    .0
                    .status(403u16)
                    .header("content-type", "application/json")
                    .json_body(value),
            )
        }
    }
    pub struct GetTransientTokenWhen(::httpmock::When);
    impl GetTransientTokenWhen {
        pub fn new(inner: ::httpmock::When) -> Self {
            Self(
                inner
                    .method(::httpmock::Method::POST)
                    .path_matches(regex::Regex::new("^/security/token$").unwrap()),
            )
        }
        pub fn into_inner(self) -> ::httpmock::When {
            self.0
        }
        pub fn scope(self, value: types::GetTransientTokenScope) -> Self {
            Self(self.0.query_param("scope", value.to_string()))
        }
        pub fn type_(self, value: types::GetTransientTokenType) -> Self {
            Self(self.0.query_param("type", value.to_string()))
        }
    }
    pub struct GetTransientTokenThen(::httpmock::Then);
    impl GetTransientTokenThen {
        pub fn new(inner: ::httpmock::Then) -> Self {
            Self(inner)
        }
        pub fn into_inner(self) -> ::httpmock::Then {
            self.0
        }
        pub fn ok(self, value: &types::TransientTokenBody) -> Self {
            Self(
                self
                    .0
                    .status(200u16)
                    .header("content-type", "application/json")
                    .json_body_obj(value),
            )
        }
        pub fn bad_request(self, value: ::serde_json::Value) -> Self {
            Self(
                self
                    .0
                    .status(400u16)
                    .header("content-type", "application/json")
                    .json_body(value),
            )
        }
        pub fn unauthorized(self, value: ::serde_json::Value) -> Self {
            Self(
                self
                    .0
                    .status(401u16)
                    .header("content-type", "application/json")
                    .json_body(value),
            )
        }
        pub fn forbidden(self, value: ::serde_json::Value) -> Self {
            Self(
                self
                    .0
                    .status(403u16)
                    .header("content-type", "application/json")
                    .json_body(value),
            )
        }
    }
}
/// An extension trait for [`MockServer`](::httpmock::MockServer) that
/// adds a method for each operation. These are the equivalent of
/// type-checked [`mock()`](::httpmock::MockServer::mock) calls.
pub trait MockServerExt {
    fn get_identity<F>(&self, config_fn: F) -> ::httpmock::Mock<'_>
    where
        F: FnOnce(operations::GetIdentityWhen, operations::GetIdentityThen);
    fn get_source_connection_information<F>(&self, config_fn: F) -> ::httpmock::Mock<'_>
    where
        F: FnOnce(
            operations::GetSourceConnectionInformationWhen,
            operations::GetSourceConnectionInformationThen,
        );
    fn get_transient_token<F>(&self, config_fn: F) -> ::httpmock::Mock<'_>
    where
        F: FnOnce(operations::GetTransientTokenWhen, operations::GetTransientTokenThen);
}
impl MockServerExt for ::httpmock::MockServer {
    fn get_identity<F>(&self, config_fn: F) -> ::httpmock::Mock<'_>
    where
        F: FnOnce(operations::GetIdentityWhen, operations::GetIdentityThen),
    {
        self.mock(|when, then| {
            config_fn(
                operations::GetIdentityWhen::new(when),
                operations::GetIdentityThen::new(then),
            )
        })
    }
    fn get_source_connection_information<F>(&self, config_fn: F) -> ::httpmock::Mock<'_>
    where
        F: FnOnce(
            operations::GetSourceConnectionInformationWhen,
            operations::GetSourceConnectionInformationThen,
        ),
    {
        self.mock(|when, then| {
            config_fn(
                operations::GetSourceConnectionInformationWhen::new(when),
                operations::GetSourceConnectionInformationThen::new(then),
            )
        })
    }
    fn get_transient_token<F>(&self, config_fn: F) -> ::httpmock::Mock<'_>
    where
        F: FnOnce(operations::GetTransientTokenWhen, operations::GetTransientTokenThen),
    {
        self.mock(|when, then| {
            config_fn(
                operations::GetTransientTokenWhen::new(when),
                operations::GetTransientTokenThen::new(then),
            )
        })
    }
}
