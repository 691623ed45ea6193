//! The types of the JSON bodies, for [mocks](crate::mock) and JSON Schema.
//!
//! The structs are generated from `openapi/plex-auth.json`, and gain a field when it does. Build
//! them with `..Default::default()`, so that a new field breaks nothing. Unknown properties are
//! ignored.
//!
//! The other types are for values that may be strings, numbers or booleans, and for lists that may
//! be single objects: a PMS converts its JSON from XML, where every value is a string and a list of
//! one looks like an object.
//!
//! serde's own errors repeat what they can't read: `from_str` of `{"MediaContainer":"TOKEN"}` has
//! the token in its error. The crate never shows such an error; don't show one of your own.

use std::fmt;
use std::marker::PhantomData;

use reqwest::Url;
use serde::Serialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::address;

pub use super::generated::types::{
    Connection, Device, ErrorBody, ErrorEntry, IdentityBody, IdentityContainer, MaintenanceBody,
    MaintenanceResponse, SourceBody, SourceContainer, TransientTokenBody, TransientTokenContainer,
};

/// How many elements of a list are kept.
pub(crate) const MAX_ELEMENTS: usize = 1_000;

/// A token in a body. `Debug` is redacted, the bytes are wiped on drop. Unlike
/// [`Token`](crate::Token), it can be serialized.
#[derive(Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct WireToken(
    #[cfg_attr(feature = "schemars", schemars(with = "String"))] pub(crate) Zeroizing<String>,
);

impl<T: Into<String>> From<T> for WireToken {
    fn from(token: T) -> Self {
        Self(Zeroizing::new(token.into()))
    }
}

/// From a string. The error does not repeat it.
impl<'de> Deserialize<'de> for WireToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own error would repeat a number.
        match Value::deserialize(deserializer)? {
            Value::String(token) => Ok(token.into()),
            _ => Err(D::Error::custom("a token is a string")),
        }
    }
}

impl fmt::Debug for WireToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WireToken([REDACTED])")
    }
}

/// A value that may be a string, a number or a boolean: `true`, `1` or `"1"`, `32400` or `"32400"`.
/// An invalid value is treated as missing, so that the rest can still be read.
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

impl<'de, T: FromJson> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(T::from_json(json.get())))
    }
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

/// A lenient conversion from a JSON value.
pub(crate) trait FromJson: Sized {
    fn from_json(json: &str) -> Option<Self>;
}

impl FromJson for String {
    fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok().filter(|text: &Self| !text.is_empty())
    }
}

impl FromJson for Url {
    fn from_json(json: &str) -> Option<Self> {
        address::listed(&String::from_json(json)?)
    }
}

impl FromJson for i64 {
    fn from_json(json: &str) -> Option<Self> {
        json.parse().ok().or_else(|| String::from_json(json)?.parse().ok())
    }
}

impl FromJson for u16 {
    fn from_json(json: &str) -> Option<Self> {
        i64::from_json(json)?.try_into().ok()
    }
}

impl FromJson for bool {
    fn from_json(json: &str) -> Option<Self> {
        match String::from_json(json).as_deref().unwrap_or(json) {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }
}

/// A list of objects, from a list or from a single object. The first 1,000 are kept; `null` is left
/// out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListOrObject(PhantomData)).map(Self)
    }
}

struct ListOrObject<T>(PhantomData<T>);

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
        let mut kept = Vec::new();
        while kept.len() < MAX_ELEMENTS {
            match list.next_element::<Option<T>>()? {
                Some(element) => kept.extend(element),
                None => return Ok(kept),
            }
        }
        IgnoredAny.visit_seq(list).map(|_| kept)
    }

    fn visit_map<A: MapAccess<'de>>(self, one: A) -> Result<Vec<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(one)).map(|one| vec![one])
    }
}
