//! The bodies as they go over the wire, for [mocks](crate#features) and JSON Schema.
//!
//! The structs are generated from `openapi/plex-auth.json`; unknown properties are ignored. The
//! types beside them stand for what servers send in several dresses, because PMS makes its JSON of
//! XML, where every attribute is a string and a list of one looks like no list.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use reqwest::Url;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::Token;
pub use crate::generated::types::{
    Connection, Device, ErrorBody, ErrorEntry, GetTransientTokenScope, GetTransientTokenType,
    SourceBody, SourceContainer, TransientTokenBody, TransientTokenContainer,
};

/// A token as it stands in a body: the [`Token`] of mocks and schemas, which alone can be
/// serialized. `Debug` is redacted, the bytes are wiped on drop.
#[derive(Clone, DeriveDeserialize, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct WireToken(#[cfg_attr(feature = "schemars", schemars(with = "String"))] Secret);

type Secret = Zeroizing<String>;

impl WireToken {
    pub(crate) fn into_token(self) -> Result<Token, &'static str> {
        Token::new(self.0)
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

/// A URI, parsed as it is read; one that can't be is kept out of sight. `Debug` shows the good one.
#[derive(Clone, Debug)]
pub struct Uri(pub(crate) Result<Url, Unparsed>);

#[derive(Clone)]
pub(crate) struct Unparsed(String);

impl fmt::Debug for Unparsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a URI")
    }
}

impl<T: AsRef<str>> From<T> for Uri {
    fn from(uri: T) -> Self {
        Self(Url::parse(uri.as_ref()).map_err(|_| Unparsed(uri.as_ref().to_owned())))
    }
}

impl<'de> Deserialize<'de> for Uri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(DeriveDeserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

        Text::deserialize(deserializer).map(|text| Self::from(text.0))
    }
}

impl Serialize for Uri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match &self.0 {
            Ok(uri) => uri.as_str(),
            Err(unparsed) => &unparsed.0,
        })
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for Uri {
    fn schema_name() -> Cow<'static, str> {
        "Uri".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

/// Yes or no, from `true`, `1`, `"1"` or `"true"` and their opposites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DeriveDeserialize, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(try_from = "Scalar")]
pub struct Flag(pub bool);

impl TryFrom<Scalar> for Flag {
    type Error = &'static str;

    fn try_from(scalar: Scalar) -> Result<Self, Self::Error> {
        match scalar {
            Scalar::Flag(flag) => Ok(Self(flag)),
            Scalar::Number(number @ (0 | 1)) => Ok(Self(number == 1)),
            Scalar::Text(text) if matches!(&*text, "0" | "false") => Ok(Self(false)),
            Scalar::Text(text) if matches!(&*text, "1" | "true") => Ok(Self(true)),
            _ => Err("not a flag"),
        }
    }
}

/// A TCP port, from `32400` or `"32400"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DeriveDeserialize, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(try_from = "Scalar")]
pub struct Port(pub u16);

impl TryFrom<Scalar> for Port {
    type Error = &'static str;

    fn try_from(scalar: Scalar) -> Result<Self, Self::Error> {
        let port = match scalar {
            Scalar::Number(number) => u16::try_from(number).ok(),
            Scalar::Text(text) => text.parse().ok(),
            Scalar::Flag(_) => None,
        };
        port.map(Self).ok_or("not a port")
    }
}

/// The JSON behind a [`Flag`] or a [`Port`].
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema), schemars(untagged))]
enum Scalar {
    Flag(bool),
    Number(u64),
    Text(Box<str>),
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        // serde's own derive for an untagged enum would copy the value first.
        impl Visitor<'_> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a flag, a number or a string")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Scalar, E> {
                Ok(Scalar::Flag(flag))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.into()))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// A list, from a list or from a lone element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or a list of objects")
            }

            fn visit_map<A: MapAccess<'de>>(self, one: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(one)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, many: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(many)).map(OneOrMany)
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}

#[cfg(feature = "schemars")]
impl<T: schemars::JsonSchema> schemars::JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "oneOf": [one, { "type": "array", "items": one }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_comes_in_every_dress() {
        for (json, flag) in [
            ("true", true),
            ("1", true),
            ("\"1\"", true),
            ("\"true\"", true),
            ("false", false),
            ("0", false),
            ("\"0\"", false),
            ("\"false\"", false),
        ] {
            assert_eq!(serde_json::from_str::<Flag>(json).unwrap(), Flag(flag), "{json}");
        }
        for json in ["2", "-1", "\"yes\"", "\"\"", "[]", "{}", "null", "1.0"] {
            assert!(serde_json::from_str::<Flag>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_port_is_a_number_or_a_string_of_digits() {
        for json in ["32400", "\"32400\""] {
            assert_eq!(serde_json::from_str::<Port>(json).unwrap(), Port(32400), "{json}");
        }
        for json in ["65536", "\"65536\"", "-1", "\"\"", "true", "[]", "1.5"] {
            assert!(serde_json::from_str::<Port>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_list_of_one_may_stand_alone() {
        for json in ["{\"uri\":\"a\"}", "[{\"uri\":\"a\"}]"] {
            let list: OneOrMany<Connection> = serde_json::from_str(json).unwrap();
            assert_eq!(list.0.len(), 1, "{json}");
        }
        assert!(serde_json::from_str::<OneOrMany<Connection>>("[]").unwrap().0.is_empty());
        for json in ["1", "\"a\"", "[1]", "[[]]"] {
            assert!(serde_json::from_str::<OneOrMany<Connection>>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_token_on_the_wire_does_not_print_itself() {
        let token = WireToken::from("secret");
        assert_eq!(format!("{token:?}"), "WireToken([REDACTED])");
        assert_eq!(serde_json::to_string(&token).unwrap(), "\"secret\"");
    }
}
