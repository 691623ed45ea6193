//! The bodies as they go over the wire, for [mocks](crate::mock) and JSON Schema.
//!
//! The structs are generated from `openapi/plex-auth.json` and follow it: a field that the fragment
//! gains appears here. Build them with `..Default::default()`, so that a new field breaks nothing.
//! Unknown properties are ignored.
//!
//! The other types stand for values that servers write in several ways, because a PMS makes its
//! JSON from XML, where every attribute is a string and a list of one looks like no list.

use std::fmt;
use std::marker::PhantomData;

use reqwest::Url;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use zeroize::Zeroizing;

pub use super::generated::types::error::ConversionError;
pub use super::generated::types::{
    Connection, Device, ErrorBody, ErrorEntry, GetTransientTokenScope, GetTransientTokenType,
    IdentityBody, IdentityContainer, SourceBody, TransientTokenBody, TransientTokenContainer,
};
use crate::token::Token;

/// How many elements of a list are kept.
pub(crate) const MAX_ELEMENTS: usize = 1_000;
/// How many connections of all devices together: 1 MiB of `{}` would take 53 MiB.
const MAX_CONNECTIONS: usize = 20_000;

/// A token in a body. `Debug` is redacted, the bytes are wiped on drop. Unlike [`Token`], it can be
/// serialized.
#[derive(Clone, DeriveDeserialize, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct WireToken(
    #[cfg_attr(feature = "schemars", schemars(with = "String"))] Zeroizing<String>,
);

impl WireToken {
    pub(crate) fn into_token(self) -> Result<Token, &'static str> {
        Token::from_server(self.0)
    }
}

impl<T: Into<String>> From<T> for WireToken {
    fn from(token: T) -> Self {
        Self(Zeroizing::new(token.into()))
    }
}

impl fmt::Debug for WireToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WireToken([REDACTED])")
    }
}

/// The contents of the response with a source.
#[derive(Clone, Debug, Default, DeriveDeserialize, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct SourceContainer {
    /// The devices. A response without this member is read by hand: it is an empty list, or
    /// something else.
    #[serde(rename = "Device", deserialize_with = "devices")]
    pub device: OneOrMany<Device>,
}

/// A value that a server may write in several ways: `true`, `1` or `"1"`, `32400` or `"32400"`. One
/// that can't be read counts as missing, so that it does not spoil the rest.
///
/// ```
/// use plex_auth::wire::Lenient;
///
/// let port: Lenient<u16> = serde_json::from_str("\"32400\"").unwrap();
/// assert_eq!(port, 32400.into());
/// let port: Lenient<u16> = serde_json::from_str("{}").unwrap();
/// assert_eq!(port, Lenient(None));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Lenient<T>(pub Option<T>);

impl<T> From<T> for Lenient<T> {
    fn from(value: T) -> Self {
        Self(Some(value))
    }
}

impl From<&str> for Lenient<String> {
    fn from(text: &str) -> Self {
        Self(Some(text.to_owned()))
    }
}

impl<'de, T: for<'a> TryFrom<Scalar<'a>>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue(PhantomData)).map(Self)
    }
}

/// The JSON that a [`Lenient`] is read from.
#[derive(Debug)]
pub enum Scalar<'a> {
    /// `true` or `false`.
    Flag(bool),
    /// An integer.
    Number(i64),
    /// A string.
    Text(&'a str),
}

struct AnyValue<T>(PhantomData<T>);

impl<'de, T: for<'a> TryFrom<Scalar<'a>>> Visitor<'de> for AnyValue<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Option<T>, E> {
        Ok(Scalar::Flag(flag).try_into().ok())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Option<T>, E> {
        Ok(Scalar::Number(number).try_into().ok())
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Option<T>, E> {
        i64::try_from(number).map_or(Ok(None), |number| self.visit_i64(number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<T>, E> {
        Ok(Scalar::Text(text).try_into().ok())
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Option<T>, A::Error> {
        IgnoredAny.visit_seq(list).map(|_| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Option<T>, A::Error> {
        IgnoredAny.visit_map(object).map(|_| None)
    }
}

/// How each type is read from a scalar, where it can be.
macro_rules! from_scalar {
    ($($type:ty: $($pattern:pat $(if $guard:expr)? => $value:expr),*;)*) => {
        $(impl TryFrom<Scalar<'_>> for $type {
            type Error = ();

            fn try_from(scalar: Scalar<'_>) -> Result<Self, ()> {
                match scalar {
                    $($pattern $(if $guard)? => $value,)*
                    _ => Err(()),
                }
            }
        })*
    };
}

from_scalar! {
    String: Scalar::Text(text) if !text.is_empty() => Ok(text.to_owned());
    Url: Scalar::Text(text) => text.parse().map_err(drop);
    i64: Scalar::Number(number) => Ok(number), Scalar::Text(text) => text.parse().map_err(drop);
    u16: Scalar::Number(number) => number.try_into().map_err(drop),
        Scalar::Text(text) => text.parse().map_err(drop);
    bool: Scalar::Flag(flag) => Ok(flag),
        Scalar::Number(number @ (0 | 1)) => Ok(number == 1),
        Scalar::Text("1" | "true") => Ok(true),
        Scalar::Text("0" | "false") => Ok(false);
}

#[cfg(feature = "schemars")]
impl<T> schemars::JsonSchema for Lenient<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Lenient".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["boolean", "integer", "string"] })
    }
}

/// A list of objects, from a list or from a lone object. The first 1,000 are kept; `null` is left
/// out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListOrObject(|_| 0)).map(Self)
    }
}

fn devices<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMany<Device>, D::Error> {
    let count = |device: &Device| device.connection.as_ref().map_or(0, |list| list.0.len());
    deserializer.deserialize_any(ListOrObject(count)).map(OneOrMany)
}

/// With the number of connections in an element.
struct ListOrObject<T>(fn(&T) -> usize);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListOrObject<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of objects")
    }

    fn visit_unit<E>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        match text {
            "" => Ok(Vec::new()),
            _ => Err(E::custom("neither an object nor a list")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let (mut kept, mut connections) = (Vec::new(), 0_usize);
        while kept.len() < MAX_ELEMENTS && connections < MAX_CONNECTIONS {
            match list.next_element::<Option<T>>()? {
                Some(element) => {
                    connections = connections.saturating_add(element.as_ref().map_or(0, self.0));
                    kept.extend(element);
                }
                None => return Ok(kept),
            }
        }
        IgnoredAny.visit_seq(list).map(|_| kept)
    }

    fn visit_map<A: MapAccess<'de>>(self, one: A) -> Result<Vec<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(one)).map(|one| vec![one])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: for<'a> TryFrom<Scalar<'a>>>(json: &str) -> Option<T> {
        serde_json::from_str::<Lenient<T>>(json).unwrap().0
    }

    const ODD: [&str; 10] =
        ["null", "\"\"", "\"yes\"", "2.5", "32400.0", "-1e99", "[]", "[{}]", "{}", "{\"a\":[1]}"];

    #[test]
    fn a_flag_may_be_a_boolean_a_number_or_a_string() {
        for (json, flag) in [("true", true), ("1", true), ("\"1\"", true), ("\"true\"", true)]
            .into_iter()
            .chain([("false", false), ("0", false), ("\"0\"", false), ("\"false\"", false)])
        {
            assert_eq!(read(json), Some(flag), "{json}");
        }
        for json in ODD.into_iter().chain(["2", "-1"]) {
            assert_eq!(read::<bool>(json), None, "{json}");
        }
    }

    #[test]
    fn a_port_may_be_a_number_or_a_string() {
        for json in ["32400", "\"32400\""] {
            assert_eq!(read(json), Some(32400_u16), "{json}");
        }
        for json in
            ODD.into_iter().chain(["65536", "\"65536\"", "-1", "true", "18446744073709551615"])
        {
            assert_eq!(read::<u16>(json), None, "{json}");
        }
    }

    #[test]
    fn a_list_of_one_may_be_a_lone_object() {
        for json in ["{\"uri\":\"http://a\"}", "[{\"uri\":\"http://a\"}]", "[null,{},null]"] {
            let list: OneOrMany<Connection> = serde_json::from_str(json).unwrap();
            assert_eq!(list.0.len(), 1, "{json}");
        }
        for json in ["[]", "null"] {
            assert!(serde_json::from_str::<OneOrMany<Connection>>(json).unwrap().0.is_empty());
        }
        for json in ["1", "\"a\"", "true", "[1]"] {
            assert!(serde_json::from_str::<OneOrMany<Connection>>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_list_keeps_its_first_1000_elements() {
        let list = format!("[{{}}{}]", ",{}".repeat(340_000));
        let list: OneOrMany<Connection> = serde_json::from_str(&list).unwrap();
        assert_eq!(list.0.len(), MAX_ELEMENTS);
    }

    #[test]
    fn a_token_on_the_wire_is_redacted() {
        let token = WireToken::from("secret");
        assert_eq!(format!("{token:?}"), "WireToken([REDACTED])");
        assert_eq!(serde_json::to_string(&token).unwrap(), "\"secret\"");
    }
}
