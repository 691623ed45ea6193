// Generated from `openapi/plex-auth.json` by `cargo xtask accept`. This is compiled when the feature
// `codegen` is off.

#[allow(unused_imports)]
pub use progenitor_client::{ByteStream, ClientInfo, Error, ResponseValue};
#[allow(unused_imports)]
use progenitor_client::{encode_path, ClientHooks, OperationInfo, RequestBuilderExt};
/// Types used as operation parameters and responses.
#[allow(clippy::all)]
pub mod types {
    ///An address of a source. `protocol` is `http` or `https`, `address` an IP address or a host name without scheme and port, `local` whether it is in the source's own network, `relay` whether it goes through Plex's relay.
    #[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, Default)]
    pub struct Connection {
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub address: ::std::option::Option<crate::api::wire::Lenient<String>>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub local: ::std::option::Option<crate::api::wire::Lenient<bool>>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub port: ::std::option::Option<crate::api::wire::Lenient<u16>>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub protocol: ::std::option::Option<crate::api::wire::Lenient<String>>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub relay: ::std::option::Option<crate::api::wire::Lenient<bool>>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub uri: ::std::option::Option<crate::api::wire::Lenient<::reqwest::Url>>,
    }
    ///A source: a server or a provider. `name` is the name its owner gave it, `clientIdentifier` its identifier as in `server://`, `accessToken` the token to use with it.
    #[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, Default)]
    pub struct Device {
        #[serde(
            rename = "accessToken",
            skip_serializing_if = "::std::option::Option::is_none"
        )]
        pub access_token: ::std::option::Option<crate::api::wire::WireToken>,
        #[serde(
            rename = "clientIdentifier",
            skip_serializing_if = "::std::option::Option::is_none"
        )]
        pub client_identifier: ::std::option::Option<crate::api::wire::Lenient<String>>,
        #[serde(
            rename = "Connection",
            skip_serializing_if = "::std::option::Option::is_none"
        )]
        pub connection: ::std::option::Option<
            crate::api::wire::OneOrMany<crate::api::wire::Connection>,
        >,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub name: ::std::option::Option<crate::api::wire::Lenient<String>>,
    }
    ///An error as JSON.
    #[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, Default)]
    pub struct ErrorBody {
        pub errors: crate::api::wire::OneOrMany<crate::api::wire::ErrorEntry>,
    }
    ///One thing that went wrong. `message` is the server's explanation, `status` that of the response.
    #[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, Default)]
    pub struct ErrorEntry {
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub code: ::std::option::Option<crate::api::wire::Lenient<i64>>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub message: ::std::option::Option<crate::api::wire::Lenient<String>>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub status: ::std::option::Option<crate::api::wire::Lenient<i64>>,
    }
    ///`GetTransientTokenScope`
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Copy,
        Debug,
        Eq,
        Hash,
        Ord,
        PartialEq,
        PartialOrd
    )]
    pub enum GetTransientTokenScope {
        #[serde(rename = "all")]
        All,
    }
    impl ::std::fmt::Display for GetTransientTokenScope {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            match *self {
                Self::All => f.write_str("all"),
            }
        }
    }
    impl ::std::str::FromStr for GetTransientTokenScope {
        type Err = self::error::ConversionError;
        fn from_str(
            value: &str,
        ) -> ::std::result::Result<Self, self::error::ConversionError> {
            match value {
                "all" => Ok(Self::All),
                _ => Err("invalid value".into()),
            }
        }
    }
    impl ::std::convert::TryFrom<&str> for GetTransientTokenScope {
        type Error = self::error::ConversionError;
        fn try_from(
            value: &str,
        ) -> ::std::result::Result<Self, self::error::ConversionError> {
            value.parse()
        }
    }
    impl ::std::convert::TryFrom<::std::string::String> for GetTransientTokenScope {
        type Error = self::error::ConversionError;
        fn try_from(
            value: ::std::string::String,
        ) -> ::std::result::Result<Self, self::error::ConversionError> {
            value.parse()
        }
    }
    ///`GetTransientTokenType`
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Copy,
        Debug,
        Eq,
        Hash,
        Ord,
        PartialEq,
        PartialOrd
    )]
    pub enum GetTransientTokenType {
        #[serde(rename = "delegation")]
        Delegation,
    }
    impl ::std::fmt::Display for GetTransientTokenType {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            match *self {
                Self::Delegation => f.write_str("delegation"),
            }
        }
    }
    impl ::std::str::FromStr for GetTransientTokenType {
        type Err = self::error::ConversionError;
        fn from_str(
            value: &str,
        ) -> ::std::result::Result<Self, self::error::ConversionError> {
            match value {
                "delegation" => Ok(Self::Delegation),
                _ => Err("invalid value".into()),
            }
        }
    }
    impl ::std::convert::TryFrom<&str> for GetTransientTokenType {
        type Error = self::error::ConversionError;
        fn try_from(
            value: &str,
        ) -> ::std::result::Result<Self, self::error::ConversionError> {
            value.parse()
        }
    }
    impl ::std::convert::TryFrom<::std::string::String> for GetTransientTokenType {
        type Error = self::error::ConversionError;
        fn try_from(
            value: ::std::string::String,
        ) -> ::std::result::Result<Self, self::error::ConversionError> {
            value.parse()
        }
    }
    ///The response with a server's identity.
    #[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, Default)]
    pub struct IdentityBody {
        #[serde(rename = "MediaContainer")]
        pub media_container: IdentityContainer,
    }
    ///The contents of that response. `machineIdentifier` is the server's client identifier, `claimed` whether it belongs to an account.
    #[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, Default)]
    pub struct IdentityContainer {
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub claimed: ::std::option::Option<crate::api::wire::Lenient<bool>>,
        #[serde(rename = "machineIdentifier")]
        pub machine_identifier: ::std::string::String,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub version: ::std::option::Option<crate::api::wire::Lenient<String>>,
    }
    ///The XML of a server that starts, read as the JSON that it stands for.
    #[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, Default)]
    pub struct MaintenanceBody {
        #[serde(rename = "Response")]
        pub response: MaintenanceResponse,
    }
    ///What the server is busy with. `code` is the status, `title` and `status` are text.
    #[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, Default)]
    pub struct MaintenanceResponse {
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub code: ::std::option::Option<crate::api::wire::Lenient<i64>>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub status: ::std::option::Option<crate::api::wire::Lenient<String>>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub title: ::std::option::Option<crate::api::wire::Lenient<String>>,
    }
    ///The response with a source.
    #[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, Default)]
    pub struct SourceBody {
        #[serde(rename = "MediaContainer")]
        pub media_container: SourceContainer,
    }
    ///The contents of that response. `Device` is absent when the server has none to list.
    #[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, Default)]
    pub struct SourceContainer {
        #[serde(
            rename = "Device",
            skip_serializing_if = "::std::option::Option::is_none"
        )]
        pub device: ::std::option::Option<
            crate::api::wire::OneOrMany<crate::api::wire::Device>,
        >,
    }
    ///The response with a transient token.
    #[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, Default)]
    pub struct TransientTokenBody {
        #[serde(rename = "MediaContainer")]
        pub media_container: TransientTokenContainer,
    }
    ///The contents of that response.
    #[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, Default)]
    pub struct TransientTokenContainer {
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub token: ::std::option::Option<crate::api::wire::WireToken>,
    }
    ///The same data as in JSON: an attribute in place of a member, an element in place of an object. A server returns it unless `Accept: application/json` reaches it.
    #[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        Eq,
        Hash,
        Ord,
        PartialEq,
        PartialOrd
    )]
    #[serde(transparent)]
    pub struct Xml(pub ::std::string::String);
    impl ::std::ops::Deref for Xml {
        type Target = ::std::string::String;
        fn deref(&self) -> &::std::string::String {
            &self.0
        }
    }
    impl ::std::convert::From<Xml> for ::std::string::String {
        fn from(value: Xml) -> Self {
            value.0
        }
    }
    impl ::std::convert::From<::std::string::String> for Xml {
        fn from(value: ::std::string::String) -> Self {
            Self(value)
        }
    }
    impl ::std::fmt::Display for Xml {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            self.0.fmt(f)
        }
    }
    impl ::std::str::FromStr for Xml {
        type Err = ::std::convert::Infallible;
        fn from_str(value: &str) -> ::std::result::Result<Self, Self::Err> {
            Ok(Self(value.to_string()))
        }
    }
    /// Error types.
    pub mod error {
        /// Error from a `TryFrom` or `FromStr` implementation.
        pub struct ConversionError(::std::borrow::Cow<'static, str>);
        impl ::std::error::Error for ConversionError {}
        impl ::std::fmt::Display for ConversionError {
            fn fmt(
                &self,
                f: &mut ::std::fmt::Formatter<'_>,
            ) -> Result<(), ::std::fmt::Error> {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }
        impl ::std::fmt::Debug for ConversionError {
            fn fmt(
                &self,
                f: &mut ::std::fmt::Formatter<'_>,
            ) -> Result<(), ::std::fmt::Error> {
                ::std::fmt::Debug::fmt(&self.0, f)
            }
        }
        impl From<&'static str> for ConversionError {
            fn from(value: &'static str) -> Self {
                Self(value.into())
            }
        }
        impl From<String> for ConversionError {
            fn from(value: String) -> Self {
                Self(value.into())
            }
        }
    }
}
#[derive(Clone, Debug)]
/**Client for Plex Media Server: authentication

The two authentication endpoints of a Plex Media Server (PMS): a transient token, and how to reach another source, with a token for it; and the server's identity, by which a source is verified. The sources of these facts are listed in `openapi/README.md`.

Version: 1.0.0*/
pub struct Client {
    pub(crate) baseurl: String,
    pub(crate) client: reqwest::Client,
    pub(crate) inner: crate::api::Inner,
}
impl Client {
    /// Create a new client.
    ///
    /// `baseurl` is the base URL provided to the internal
    /// `reqwest::Client`, and should include a scheme and hostname,
    /// as well as port and a path stem if applicable.
    pub fn new(baseurl: &str, inner: crate::api::Inner) -> Self {
        #[cfg(not(target_arch = "wasm32"))]
        let client = {
            let dur = ::std::time::Duration::from_secs(15u64);
            reqwest::ClientBuilder::new().connect_timeout(dur).timeout(dur)
        };
        #[cfg(target_arch = "wasm32")]
        let client = reqwest::ClientBuilder::new();
        Self::new_with_client(baseurl, client.build().unwrap(), inner)
    }
    /// Construct a new client with an existing `reqwest::Client`,
    /// allowing more control over its configuration.
    ///
    /// `baseurl` is the base URL provided to the internal
    /// `reqwest::Client`, and should include a scheme and hostname,
    /// as well as port and a path stem if applicable.
    pub fn new_with_client(
        baseurl: &str,
        client: reqwest::Client,
        inner: crate::api::Inner,
    ) -> Self {
        Self {
            baseurl: baseurl.to_string(),
            client,
            inner,
        }
    }
}
impl ClientInfo<crate::api::Inner> for Client {
    fn api_version() -> &'static str {
        "1.0.0"
    }
    fn baseurl(&self) -> &str {
        self.baseurl.as_str()
    }
    fn client(&self) -> &reqwest::Client {
        &self.client
    }
    fn inner(&self) -> &crate::api::Inner {
        &self.inner
    }
}
const _: () = {
    #[allow(dead_code)]
    fn assert_client_hooks()
    where
        Client: ClientHooks<crate::api::Inner>,
    {}
};
#[allow(clippy::all)]
impl Client {
    /**Get the server's identity

Returns the server's client identifier and version. It needs no token, so it can verify an address before a token is sent there.

Sends a `GET` request to `/identity`

*/
    pub async fn get_identity<'a>(
        &'a self,
    ) -> Result<ResponseValue<types::IdentityBody>, Error<()>> {
        let url = format!("{}/identity", self.baseurl,);
        let mut header_map = ::reqwest::header::HeaderMap::with_capacity(1usize);
        header_map
            .append(
                ::reqwest::header::HeaderName::from_static("api-version"),
                ::reqwest::header::HeaderValue::from_static(Self::api_version()),
            );
        #[allow(unused_mut)]
        let mut request = self
            .client
            .get(url)
            .header(
                ::reqwest::header::ACCEPT,
                ::reqwest::header::HeaderValue::from_static("application/json"),
            )
            .headers(header_map)
            .build()?;
        let info = OperationInfo {
            operation_id: "get_identity",
        };
        self.pre(&mut request, &info).await?;
        let result = self.exec(request, &info).await;
        self.post(&result, &info).await?;
        let response = result?;
        match response.status().as_u16() {
            200u16 => ResponseValue::from_response(response).await,
            _ => Err(Error::UnexpectedResponse(response)),
        }
    }
    /**Look up how to reach a source

Returns how to reach another server or a provider that this server knows, with an access token for it. Needs an admin's token, or a transient token made from one, and PMS 1.15.4 or newer.

Sends a `GET` request to `/security/resources`

Arguments:
- `refresh`: 1 makes the server look the source up again instead of answering from its cache.
- `source`: Which source: `server://` and a server's client identifier, or `provider://` and a provider's identifier. A provider suffix may follow (`server://ID/com.plexapp.plugins.library`).
*/
    pub async fn get_source_connection_information<'a>(
        &'a self,
        refresh: Option<&'a u8>,
        source: &'a str,
    ) -> Result<ResponseValue<types::SourceBody>, Error<()>> {
        let url = format!("{}/security/resources", self.baseurl,);
        let mut header_map = ::reqwest::header::HeaderMap::with_capacity(1usize);
        header_map
            .append(
                ::reqwest::header::HeaderName::from_static("api-version"),
                ::reqwest::header::HeaderValue::from_static(Self::api_version()),
            );
        #[allow(unused_mut)]
        let mut request = self
            .client
            .get(url)
            .header(
                ::reqwest::header::ACCEPT,
                ::reqwest::header::HeaderValue::from_static("application/json"),
            )
            .query(&progenitor_client::QueryParam::new("refresh", &refresh))
            .query(&progenitor_client::QueryParam::new("source", &source))
            .headers(header_map)
            .build()?;
        let info = OperationInfo {
            operation_id: "get_source_connection_information",
        };
        self.pre(&mut request, &info).await?;
        let result = self.exec(request, &info).await;
        self.post(&result, &info).await?;
        let response = result?;
        match response.status().as_u16() {
            200u16 => ResponseValue::from_response(response).await,
            _ => Err(Error::UnexpectedResponse(response)),
        }
    }
    /**Get a transient token

Creates a temporary token with the access level of the caller's token. It is valid for at most 48 hours and is lost when the server restarts. The server accepts any verb; POST is used because the answer must not come from a cache.

Sends a `POST` request to `/security/token`

Arguments:
- `scope`: What the token may be used for. There is one scope: everything the caller may do.
- `type_`: The kind of token. There is one kind.
*/
    pub async fn get_transient_token<'a>(
        &'a self,
        scope: types::GetTransientTokenScope,
        type_: types::GetTransientTokenType,
    ) -> Result<ResponseValue<types::TransientTokenBody>, Error<()>> {
        let url = format!("{}/security/token", self.baseurl,);
        let mut header_map = ::reqwest::header::HeaderMap::with_capacity(1usize);
        header_map
            .append(
                ::reqwest::header::HeaderName::from_static("api-version"),
                ::reqwest::header::HeaderValue::from_static(Self::api_version()),
            );
        #[allow(unused_mut)]
        let mut request = self
            .client
            .post(url)
            .header(
                ::reqwest::header::ACCEPT,
                ::reqwest::header::HeaderValue::from_static("application/json"),
            )
            .query(&progenitor_client::QueryParam::new("scope", &scope))
            .query(&progenitor_client::QueryParam::new("type", &type_))
            .headers(header_map)
            .build()?;
        let info = OperationInfo {
            operation_id: "get_transient_token",
        };
        self.pre(&mut request, &info).await?;
        let result = self.exec(request, &info).await;
        self.post(&result, &info).await?;
        let response = result?;
        match response.status().as_u16() {
            200u16 => ResponseValue::from_response(response).await,
            _ => Err(Error::UnexpectedResponse(response)),
        }
    }
}
/// Items consumers will typically use such as the Client.
pub mod prelude {
    #[allow(unused_imports)]
    pub use super::Client;
}
/// The headers of an operation.
pub fn headers(operation_id: &str) -> &'static [&'static str] {
    match operation_id {
        "get_identity" => &[],
        "get_source_connection_information" => {
            &[
                "x-plex-client-identifier",
                "x-plex-product",
                "x-plex-version",
                "x-plex-platform",
                "x-plex-platform-version",
                "x-plex-device",
                "x-plex-model",
                "x-plex-device-vendor",
                "x-plex-device-name",
                "x-plex-marketplace",
                "x-plex-token",
            ]
        }
        "get_transient_token" => {
            &[
                "x-plex-client-identifier",
                "x-plex-product",
                "x-plex-version",
                "x-plex-platform",
                "x-plex-platform-version",
                "x-plex-device",
                "x-plex-model",
                "x-plex-device-vendor",
                "x-plex-device-name",
                "x-plex-marketplace",
                "x-plex-token",
            ]
        }
        _ => &[],
    }
}
