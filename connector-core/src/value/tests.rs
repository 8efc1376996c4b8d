use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::{self, Debug};
use std::net::IpAddr;
use std::rc::Rc;

use serde::de::{self, DeserializeOwned, SeqAccess, Visitor};
use serde::ser::{self, SerializeMap, SerializeSeq, SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;

#[track_caller]
fn stored<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    to_bytes(value).expect("can be stored")
}

#[track_caller]
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    let bytes = stored(&value);
    assert_eq!(from_bytes::<T>(&bytes).expect("can be read"), value, "{bytes:02x?}");
    to_json(&bytes).expect("can be shown");
}

/// Reads as `New` what was stored as `Old`.
#[track_caller]
fn reads_as<Old: Serialize, New: DeserializeOwned + PartialEq + Debug>(old: Old, new: New) {
    assert_eq!(from_bytes::<New>(&stored(&old)).expect("can be read"), new);
}

#[track_caller]
fn refused<T: Serialize + ?Sized>(value: &T) -> EncodeError {
    to_bytes(value).expect_err("cannot be stored")
}

#[track_caller]
fn unreadable<T: DeserializeOwned + Debug>(bytes: &[u8]) -> DecodeError {
    from_bytes::<T>(bytes).expect_err("cannot be read")
}

/// R5.2: every integer, at the edges of every width.
#[test]
fn integers_come_back() {
    let mut edges = vec![0_i128, i128::MIN, i128::MAX];
    for bits in 0..127 {
        let power = 1_i128 << bits;
        edges.extend([power - 1, power, power + 1, -power - 1, -power, 1 - power]);
    }
    edges.extend((0..80).chain(-20..0));
    for &edge in &edges {
        comes_back(edge);
        macro_rules! narrow {
            ($($integer:ty)*) => {$(
                match <$integer>::try_from(edge) {
                    Ok(number) => {
                        comes_back(number);
                        reads_as(edge, number);
                        reads_as(number, edge);
                    }
                    Err(_) => {
                        unreadable::<$integer>(&stored(&edge));
                    }
                }
            )*};
        }
        narrow!(i8 i16 i32 i64 u8 u16 u32 u64 u128);
    }
    comes_back(u128::MAX);
    comes_back(u128::MAX - 1);
}

/// R5.2: floats come back bit for bit, and integers are read as floats.
#[test]
fn floats_come_back_bit_for_bit() {
    let singles = [
        0_u32,
        0x8000_0000,
        0x7f80_0000,
        0xff80_0000,
        0x7fc0_0000,
        0x7fc0_1234,
        0xffff_ffff,
        0x7f80_0001,
        1,
        0x3f80_0000,
    ];
    for bits in singles {
        let back: f32 = from_bytes(&stored(&f32::from_bits(bits))).unwrap();
        assert_eq!(back.to_bits(), bits);
    }
    let doubles = [
        0_u64,
        1 << 63,
        0x7ff0 << 48,
        0xfff0 << 48,
        0x7ff8 << 48,
        0x7ff8_0000_dead_beef,
        u64::MAX,
        (0x7ff0 << 48) | 1,
        1,
        0x3ff0 << 48,
    ];
    for bits in doubles {
        let back: f64 = from_bytes(&stored(&f64::from_bits(bits))).unwrap();
        assert_eq!(back.to_bits(), bits);
    }
    comes_back([f32::MIN, f32::MAX, f32::EPSILON]);
    comes_back([f64::MIN, f64::MAX, f64::EPSILON]);
    reads_as(7_u8, 7.0_f64);
    reads_as(-7_i64, -7.0_f32);
    reads_as(1_i128 << 100, 2.0_f64.powi(100));
    reads_as(0.5_f32, 0.5_f64);
    unreadable::<i32>(&stored(&1.0_f64));
}

/// R5.2: characters, text and bytes of every length class.
#[test]
fn text_and_bytes_come_back() {
    for character in ['\0', 'a', 'ß', '€', '🦀', char::MAX] {
        comes_back(character);
        reads_as(character, character.to_string());
        reads_as(character.to_string(), character);
    }
    for length in [0, 1, 31, 32, 63, 64, 127, 128, 300, 20_000] {
        let text = "ü".repeat(length);
        comes_back(text.clone());
        let owned = bytes::Bytes::from(text.clone().into_bytes());
        comes_back(owned.clone());
        reads_as(owned.clone(), owned.to_vec());
        reads_as(owned.to_vec(), owned.clone());
        assert_eq!(from_bytes_borrowed::<&str>(&stored(&text)).unwrap(), text);
        assert_eq!(from_bytes_borrowed::<&[u8]>(&stored(&owned)).unwrap(), &owned[..]);
        // The length of what is formatted is not known before.
        assert_eq!(stored(&format_args!("{text}")), stored(&text));
    }
    unreadable::<char>(&stored("ab"));
}

/// R5.2: every depth of nesting of an option is a different value.
#[test]
fn options_keep_their_depth() {
    type Deep = Option<Option<Option<u8>>>;
    let all: [Deep; 4] = [None, Some(None), Some(Some(None)), Some(Some(Some(1)))];
    let encoded: HashSet<_> = all.iter().map(stored).collect();
    assert_eq!(encoded.len(), 4);
    for value in all {
        comes_back(value);
        comes_back(vec![value]);
        comes_back(BTreeMap::from([(value, value)]));
    }
    comes_back([None, Some(())]);
    comes_back([None, Some(None), Some(Some(()))]);
    comes_back([None, Some(json!(null)), Some(json!({"a": [1, -2, 0.5, "x", true]}))]);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Empty {}
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Newtype(Option<i32>);
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tuple(i8, String, Newtype);
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct NoTuple();
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Key {
    kind: Kind,
    id: u64,
}
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Kind {
    Unit,
    Newtype(Option<String>),
    Nothing(()),
    Tuple(i32, i32),
    NoTuple(),
    Struct { a: i32, b: Option<i32> },
    NoStruct {},
}

fn kinds() -> Vec<Kind> {
    vec![
        Kind::Unit,
        Kind::Newtype(None),
        Kind::Newtype(Some("x".into())),
        Kind::Nothing(()),
        Kind::Tuple(1, -2),
        Kind::NoTuple(),
        Kind::Struct { a: 1, b: None },
        Kind::Struct { a: 1, b: Some(2) },
        Kind::NoStruct {},
    ]
}

/// R5.2: structs, tuples, enum variants of all kinds, sets, and maps with any keys.
#[test]
fn shapes_come_back() {
    comes_back(());
    comes_back(Unit);
    comes_back(Empty {});
    comes_back(NoTuple());
    comes_back(Newtype(Some(-1)));
    comes_back(Tuple(-128, "t".into(), Newtype(None)));
    comes_back(((), (1,), (1, 'x', "y".to_owned())));
    comes_back([0_u8; 0]);
    comes_back(Vec::<u8>::new());
    comes_back((0..300).collect::<Vec<u32>>());
    comes_back(kinds());
    comes_back(kinds().into_iter().map(Some).collect::<Vec<_>>());
    comes_back(Ok::<u8, String>(1));
    comes_back(Rc::new(Box::new(1)));
    // Siblings are not deeper than each other.
    for kind in kinds() {
        comes_back(vec![Some((kind, BTreeMap::from([(1, 1)]))); 2 * MAX_DEPTH]);
    }
    comes_back(std::time::Duration::new(1, 999_999_999));
    comes_back(BTreeSet::from(["b".to_owned(), "a".to_owned()]));
    comes_back(HashSet::from([u128::MAX, 0]));
    comes_back((0..100).map(|n| (n, n.to_string())).collect::<HashMap<i64, String>>());
    comes_back(BTreeMap::from([((1_u8, "x".to_owned()), vec![1]), ((2, String::new()), vec![])]));
    comes_back(kinds().into_iter().map(|kind| (kind, 1)).collect::<HashMap<Kind, u8>>());
    comes_back(kinds().into_iter().map(|kind| (Key { kind, id: 1 }, ())).collect::<BTreeMap<Key, ()>>());
    comes_back(BTreeMap::from([(BTreeMap::from([(vec![1], true)]), BTreeMap::from([((), 'c')]))]));
    comes_back(BTreeMap::from([(Newtype(None), 1), (Newtype(Some(3)), 2)]));
    comes_back(HashMap::from([(true, 1), (false, 0)]));
}

/// R5.2: floats as keys of a map.
#[test]
fn float_keys_come_back() {
    struct ByFloat(Vec<(f64, u8)>);
    impl Serialize for ByFloat {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
        }
    }
    struct Pairs(Vec<(u64, u8)>);
    impl<'de> Deserialize<'de> for Pairs {
        fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Read;
            impl<'de> Visitor<'de> for Read {
                type Value = Pairs;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a map")
                }
                fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                    let mut pairs = Vec::new();
                    while let Some((key, value)) = map.next_entry::<f64, u8>()? {
                        pairs.push((key.to_bits(), value));
                    }
                    Ok(Pairs(pairs))
                }
            }
            deserializer.deserialize_map(Read)
        }
    }
    let keys = [0.0, -0.0, f64::NAN, f64::INFINITY, 1.5];
    let map = ByFloat(keys.into_iter().zip(0..).collect());
    let back: Pairs = from_bytes(&stored(&map)).unwrap();
    let expected: Vec<_> = keys.iter().map(|key| key.to_bits()).zip(0..).collect();
    assert_eq!(back.0, expected);
}

/// R5.2: dates and addresses are stored as their text.
#[test]
fn types_with_a_text_form_use_it() {
    let time: jiff::Timestamp = "2026-03-01T12:00:00.123456789Z".parse().unwrap();
    comes_back(time);
    assert_eq!(stored(&time), stored("2026-03-01T12:00:00.123456789Z"));
    comes_back("2026-03-01".parse::<jiff::civil::Date>().unwrap());
    comes_back("2026-03-01T12:00:00".parse::<jiff::civil::DateTime>().unwrap());
    comes_back("PT36H".parse::<jiff::SignedDuration>().unwrap());
    comes_back(HashMap::from([("::1".parse::<IpAddr>().unwrap(), time)]));
    assert_eq!(stored(&IpAddr::from([127, 0, 0, 1])), stored("127.0.0.1"));
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Float(f64),
    Flag(bool),
    Text(String),
    Pair(u8, Option<Option<u8>>),
    Kind { kind: Kind },
    Nested { inner: Option<Box<Untagged>>, deep: Option<Option<u8>> },
    Map(BTreeMap<i32, Option<u8>>),
    Nothing,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Internal {
    Unit,
    Struct { when: Option<Option<u8>>, kind: Kind },
    Newtype(Outer),
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Unit,
    Newtype(Option<Option<Kind>>),
    Tuple(u8, Option<u8>),
    Struct { a: Option<()> },
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outer {
    a: Option<Option<u8>>,
    #[serde(flatten)]
    inner: Inner,
    #[serde(flatten)]
    kind: Kind,
    #[serde(flatten)]
    optional: Option<Inner2>,
    #[serde(flatten)]
    rest: HashMap<String, Option<u8>>,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Inner {
    b: Option<Kind>,
    c: f32,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Inner2 {
    d: Vec<Option<i8>>,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ById {
    name: String,
    #[serde(flatten)]
    by_id: HashMap<u64, Option<String>>,
}

fn outers() -> Vec<Outer> {
    let flattened = kinds().into_iter().filter(|kind| !matches!(kind, Kind::Unit));
    flattened
        .flat_map(|kind| {
            let full = Outer {
                a: Some(None),
                inner: Inner { b: Some(Kind::Unit), c: -0.5 },
                kind,
                optional: Some(Inner2 { d: vec![None, Some(-1)] }),
                rest: HashMap::from([("x".into(), None), ("y".into(), Some(1))]),
            };
            let bare = Outer { a: None, optional: None, rest: HashMap::new(), ..full.clone() };
            [full, bare]
        })
        .collect()
}

/// R5.2: what serde reads through its own buffer.
#[test]
fn buffered_types_come_back() {
    for kind in kinds() {
        comes_back(Untagged::Kind { kind: kind.clone() });
        comes_back(Internal::Struct { when: Some(None), kind: kind.clone() });
        comes_back(Adjacent::Newtype(Some(Some(kind))));
    }
    comes_back(Untagged::Number(i64::MIN));
    comes_back(Untagged::Float(f64::NEG_INFINITY));
    comes_back(Untagged::Flag(true));
    comes_back(Untagged::Text("a".into()));
    comes_back(Untagged::Nothing);
    comes_back(Untagged::Map(BTreeMap::from([(-1, None), (1, Some(2))])));
    for deep in [None, Some(None), Some(Some(1))] {
        comes_back(Untagged::Pair(1, deep));
        comes_back(Untagged::Nested { inner: Some(Box::new(Untagged::Flag(false))), deep });
        comes_back(Internal::Struct { when: deep, kind: Kind::Unit });
    }
    comes_back(Internal::Unit);
    comes_back(Adjacent::Unit);
    comes_back(Adjacent::Newtype(None));
    comes_back(Adjacent::Newtype(Some(None)));
    comes_back(Adjacent::Tuple(1, None));
    comes_back(Adjacent::Struct { a: Some(()) });
    for outer in outers() {
        comes_back(outer.clone());
        comes_back(Internal::Newtype(outer));
    }
    comes_back(ById { name: "n".into(), by_id: HashMap::from([(7, None), (8, Some("x".into()))]) });
    // The content before the tag.
    reads_as(BTreeMap::from([("c", json!([1, null])), ("t", json!("Tuple"))]), Adjacent::Tuple(1, None));
}

/// R5.2: raw JSON asks for its content in its own way.
#[test]
fn raw_json_comes_back() {
    const NAME: &str = "$serde_json::private::RawValue";
    struct Raw(String);
    impl Serialize for Raw {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut raw = serializer.serialize_struct(NAME, 1)?;
            raw.serialize_field(NAME, &self.0)?;
            raw.end()
        }
    }
    impl<'de> Deserialize<'de> for Raw {
        fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Read;
            impl<'de> Visitor<'de> for Read {
                type Value = Raw;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("raw JSON")
                }
                fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                    let entry = map.next_entry::<String, String>()?;
                    entry.map(|(_, text)| Raw(text)).ok_or_else(|| de::Error::custom("empty"))
                }
            }
            deserializer.deserialize_newtype_struct(NAME, Read)
        }
    }
    assert_eq!(from_bytes::<Raw>(&stored(&Raw("[1]".into()))).unwrap().0, "[1]");
}

/// R5.2: a sequence or map whose length is not known, or not as announced.
#[test]
fn lengths_are_counted() {
    struct Lie {
        announced: Option<usize>,
        actual: u32,
    }
    impl Serialize for Lie {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut seq = serializer.serialize_seq(self.announced)?;
            for number in 0..self.actual {
                seq.serialize_element(&BTreeMap::from([(number, "é".repeat(50))]))?;
            }
            seq.end()
        }
    }
    for announced in [None, Some(0), Some(1), Some(31), Some(32), Some(40_000), Some(usize::MAX)] {
        for actual in [0, 1, 31, 32, 127, 128, 200] {
            let expected: Vec<_> = (0..actual).map(|number| BTreeMap::from([(number, "é".repeat(50))])).collect();
            let bytes = stored(&(Lie { announced, actual }, 7));
            assert_eq!(bytes, stored(&(&expected, 7)));
            assert_eq!(from_bytes::<(Vec<_>, u8)>(&bytes).unwrap(), (expected, 7));
        }
    }
    struct Unsized(u32);
    impl Serialize for Unsized {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            for number in 0..self.0 {
                map.serialize_entry(&number, &[number])?;
            }
            map.end()
        }
    }
    for length in [0, 1, 31, 32, 300] {
        let expected: BTreeMap<_, _> = (0..length).map(|number| (number, [number])).collect();
        reads_as(Unsized(length), expected);
    }
}

/// R4.5, R5.2: fields are added with defaults, removed, reordered, made optional.
#[test]
fn structs_may_change() {
    #[derive(Serialize)]
    struct Old {
        gone: Kind,
        name: &'static str,
        count: u8,
        was: Option<u8>,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct New {
        count: Option<i64>,
        #[serde(default)]
        added: Vec<u8>,
        later: Option<u8>,
        #[serde(alias = "name")]
        title: String,
        was: u8,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct AllDefault {
        #[serde(default)]
        page: u32,
    }
    for gone in kinds() {
        let old = Old { gone, name: "n", count: 3, was: Some(4) };
        let bytes = stored(&old);
        let new = New { count: Some(3), added: vec![], later: None, title: "n".into(), was: 4 };
        assert_eq!(from_bytes::<New>(&bytes).unwrap(), new);
        from_bytes::<de::IgnoredAny>(&bytes).unwrap();
        reads_as(old, Unit);
    }
    reads_as(Unit, AllDefault { page: 0 });
    reads_as(Empty {}, AllDefault { page: 0 });
    reads_as(Unit, Empty {});
    reads_as(Empty {}, Unit);
    unreadable::<AllDefault>(&stored(&1));
    let lacking = unreadable::<Vec<Key>>(&stored(&[BTreeMap::from([("kind", Kind::Unit)])]));
    assert_eq!(lacking.to_string(), "cannot read `[0]`: missing field `id`");
}

/// A value that came as JSON is read as the type of that shape.
#[test]
fn json_values_are_read_as_types() {
    for kind in kinds() {
        reads_as(serde_json::to_value(&kind).unwrap(), kind);
    }
    for outer in outers().into_iter().filter(|outer| outer.a.is_none()) {
        reads_as(serde_json::to_value(&outer).unwrap(), outer);
    }
    reads_as(json!({"kind": "Unit", "id": 3}), Key { kind: Kind::Unit, id: 3 });
    reads_as(json!([null, 1]), vec![None, Some(1)]);
    reads_as(kinds(), serde_json::to_value(kinds()).unwrap());
}

/// The form is compact: these lengths are part of the format.
#[test]
fn small_values_take_few_bytes() {
    assert_eq!(stored(&()), [FORMAT_VERSION, 0xd0]);
    assert_eq!(stored(&Unit), [FORMAT_VERSION, 0xd0]);
    assert_eq!(stored(&Empty {}), [FORMAT_VERSION, 0x80]);
    assert_eq!(stored(&5_u64), [FORMAT_VERSION, 5]);
    assert_eq!(stored(&-1_i128), [FORMAT_VERSION, 0xc0]);
    assert_eq!(stored(&300), [FORMAT_VERSION, 0xd5, 0xac, 0x02]);
    assert_eq!(stored("ab"), [FORMAT_VERSION, 0x42, b'a', b'b']);
    assert_eq!(stored(&Some(1)), [FORMAT_VERSION, 0xd4, 1]);
    assert_eq!(stored(&Kind::Tuple(1, 2))[1..], *b"\xe1\x45Tuple\xa2\x01\x02");
    assert_eq!(stored(&Key { kind: Kind::Unit, id: 1 })[1..], *b"\x82\x44kind\xe0\x44Unit\x42id\x01");
}

struct Fails;
impl Serialize for Fails {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("not today"))
    }
}

/// R5.2: what cannot be stored is refused, naming the path.
#[test]
fn a_failing_part_is_named() {
    #[derive(Serialize)]
    struct Item<T> {
        name: &'static str,
        owner: T,
    }
    #[derive(Serialize)]
    enum Choice<T> {
        Newtype(T),
        Tuple(u8, T),
        Struct { part: T },
    }
    #[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
    struct BadKey(#[serde(serialize_with = "fail")] u8);
    fn fail<S: Serializer>(_: &u8, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("no key"))
    }
    #[derive(Serialize)]
    struct Flat<T> {
        #[serde(flatten)]
        inner: Item<T>,
    }

    let ok = || Item { name: "x", owner: Ok(1) };
    let bad = || Item { name: "x", owner: Err(Fails) };
    let list = BTreeMap::from([("items", [ok(), ok(), ok(), bad()])]);
    let error = refused(&list);
    assert_eq!(error.path, "items[3].owner.Err");
    assert_eq!(error.reason, EncodeReason::Refused("not today".into()));
    assert_eq!(error.to_string(), "cannot store `items[3].owner.Err`: not today");

    let path = |value: &dyn Fn() -> EncodeError| value().path;
    assert_eq!(refused(&Fails).to_string(), "cannot store the value: not today");
    assert_eq!(path(&|| refused(&Some(Some(Fails)))), "");
    assert_eq!(path(&|| refused(&(1, (2, Fails)))), "[1][1]");
    assert_eq!(path(&|| refused(&Choice::Newtype(Fails))), "Newtype");
    assert_eq!(path(&|| refused(&Choice::Tuple(1, Fails))), "Tuple[1]");
    assert_eq!(path(&|| refused(&Choice::Struct { part: [Fails] })), "Struct.part[0]");
    assert_eq!(path(&|| refused(&BTreeMap::from([(7, Fails)]))), "[7]");
    assert_eq!(path(&|| refused(&BTreeMap::from([((1, 'x'), Fails)]))), "[[1,\"x\"]]");
    assert_eq!(path(&|| refused(&BTreeMap::from([("a b", [Fails])]))), "[\"a b\"][0]");
    assert_eq!(path(&|| refused(&BTreeMap::from([(BadKey(1), 1)]))), "[key 0]");
    assert_eq!(path(&|| refused(&Flat { inner: Item { name: "x", owner: Fails } })), "owner");
    let nested = BTreeMap::from([(1, BTreeMap::from([(2, Err(Fails)), (1, Ok(1))]))]);
    assert_eq!(path(&|| refused(&nested)), "[1][2].Err");

    let locked = RefCell::new(1);
    let _held = locked.borrow_mut();
    assert_eq!(path(&|| refused(&Item { name: "x", owner: &locked })), "owner");
}

/// R5.2: a Serialize implementation that ignores the failure of a part stores nothing.
#[test]
fn half_a_value_is_not_stored() {
    struct Careless;
    impl Serialize for Careless {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut seq = serializer.serialize_seq(Some(2))?;
            assert!(seq.serialize_element(&[Ok(1), Err(Fails)]).is_err());
            seq.serialize_element(&1)?;
            seq.end()
        }
    }
    assert!(matches!(refused(&Careless).reason, EncodeReason::Refused(_)));
}

/// R5.2: a map that would lose an entry is refused.
#[test]
fn a_key_twice_is_refused() {
    struct Pairs<K>(Vec<K>);
    impl<K: Serialize> Serialize for Pairs<K> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|key| (key, Pairs::<u8>(vec![]))))
        }
    }
    #[derive(Serialize)]
    struct Flat {
        id: u8,
        #[serde(flatten)]
        rest: HashMap<&'static str, u8>,
    }
    #[derive(Serialize)]
    #[serde(tag = "name")]
    enum Tagged {
        A(Named),
    }
    #[derive(Serialize)]
    struct Named {
        id: u8,
        name: &'static str,
    }

    let twice = |key: &str| EncodeReason::DuplicateKey(key.to_owned());
    assert_eq!(refused(&Pairs(vec!["a", "b", "a"])).reason, twice("\"a\""));
    assert_eq!(refused(&Pairs(vec![1, 1])).reason, twice("1"));
    assert_eq!(refused(&[Pairs((0..1000).chain([500]).collect())]).path, "[0]");
    assert_eq!(refused(&Pairs(vec![vec![1], vec![2], vec![1]])).reason, twice("[1]"));
    let flat = Flat { id: 1, rest: HashMap::from([("id", 2)]) };
    assert_eq!(refused(&flat).reason, twice("\"id\""));
    assert_eq!(
        refused(&(1, Tagged::A(Named { id: 1, name: "n" }))).to_string(),
        "cannot store `[1]`: it has the key \"name\" twice"
    );
    stored(&Pairs((0..1000).collect::<Vec<_>>()));
    stored(&[Pairs(vec!["a", "b"]), Pairs(vec!["a", "b"])]);
}

/// R5.2: keys and values that do not alternate are refused, not stored as something else.
#[test]
fn a_key_without_a_value_is_refused() {
    struct Calls(&'static str);
    impl Serialize for Calls {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            for (number, call) in self.0.chars().enumerate() {
                match call {
                    'k' => map.serialize_key(&number)?,
                    _ => map.serialize_value(&number)?,
                }
            }
            map.end()
        }
    }
    for wrong in ["k", "v", "kk", "kvk", "kvv", "kvkvvk"] {
        assert!(matches!(refused(&Calls(wrong)).reason, EncodeReason::Refused(_)), "{wrong}");
    }
    reads_as(Calls("kvkv"), BTreeMap::from([(0, 1), (2, 3)]));
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Some(Option<Box<Tree>>),
    Many(Vec<Tree>),
    Field { next: Box<Tree> },
    Map(BTreeMap<u8, Tree>),
}

fn tree(levels: usize, wrap: impl Fn(Tree) -> Tree) -> Tree {
    (0..levels).fold(Tree::Leaf, |tree, _| wrap(tree))
}

/// R5.2: nesting is limited, and what may be stored may be read.
#[test]
fn nesting_is_limited() {
    let wraps: [fn(Tree) -> Tree; 4] = [
        |tree| Tree::Some(Some(Box::new(tree))),
        |tree| Tree::Many(vec![tree]),
        |next| Tree::Field { next: Box::new(next) },
        |tree| Tree::Map(BTreeMap::from([(1, tree)])),
    ];
    for wrap in wraps {
        comes_back(tree(MAX_DEPTH / 2, wrap));
        let error = refused(&tree(MAX_DEPTH / 2 + 1, wrap));
        assert_eq!(error.reason, EncodeReason::TooDeep);
        assert!(!error.path.is_empty() || matches!(wrap(Tree::Leaf), Tree::Some(_)), "{error}");
        refused(&tree(1_000, wrap));
    }
    let flat = |depth: usize| (0..depth).fold(json!(1), |value, _| json!([value]));
    comes_back(flat(MAX_DEPTH));
    assert_eq!(refused(&flat(MAX_DEPTH + 1)).path, "[0]".repeat(MAX_DEPTH));

    for tag in [0xd4_u8, 0xa1] {
        let mut bytes = vec![FORMAT_VERSION];
        bytes.resize(100_000, tag);
        bytes.push(1);
        assert_eq!(unreadable::<serde_json::Value>(&bytes).reason, DecodeReason::TooDeep);
        assert_eq!(to_json(&bytes).unwrap_err().reason, DecodeReason::TooDeep);
        from_bytes::<de::IgnoredAny>(&bytes).expect("passing over needs no stack");
    }
}

/// R5.2: the size is limited, before the memory is taken.
#[test]
fn size_is_limited() {
    let largest = MAX_BYTES - 6;
    assert_eq!(stored(&"x".repeat(largest)).len(), MAX_BYTES);
    assert_eq!(refused(&"x".repeat(largest + 1)).reason, EncodeReason::TooLarge);
    assert_eq!(refused(&bytes::Bytes::from(vec![0; MAX_BYTES])).reason, EncodeReason::TooLarge);
    let parts = [(1, "x".repeat(MAX_BYTES / 2)), (2, "x".repeat(MAX_BYTES / 2))];
    let error = refused(&parts);
    assert_eq!(error.path, "[1][1]");
    assert_eq!(error.reason.to_string(), "the whole value takes more than 16 MiB");

    struct Endless;
    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str("and so on ")?;
            }
        }
    }
    impl Serialize for Endless {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }
    assert_eq!(refused(&Endless).reason, EncodeReason::TooLarge);
    struct EndlessSeq;
    impl Serialize for EndlessSeq {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut seq = serializer.serialize_seq(None)?;
            loop {
                seq.serialize_element(&())?;
            }
        }
    }
    assert_eq!(refused(&EndlessSeq).reason, EncodeReason::TooLarge);
}

/// R5.2: errors of reading name the part.
#[test]
fn unreadable_parts_are_named() {
    #[derive(Serialize)]
    struct Page<T> {
        items: Vec<BTreeMap<i32, T>>,
    }
    #[derive(Debug, Deserialize)]
    struct Numbers {
        #[serde(rename = "items")]
        _items: Vec<BTreeMap<i32, u8>>,
    }
    let bytes = stored(&Page { items: vec![BTreeMap::new(), BTreeMap::from([(-7, "x")])] });
    let error = unreadable::<Numbers>(&bytes);
    assert_eq!(error.path, "items[1][-7]");
    assert_eq!(error.to_string(), "cannot read `items[1][-7]`: invalid type: string \"x\", expected u8");
    let unknown = unreadable::<Vec<Kind>>(&stored(&[Ok::<u8, ()>(1)]));
    assert!(unknown.to_string().starts_with("cannot read `[0]`: unknown variant `Ok`"), "{unknown}");
    #[derive(Serialize)]
    enum Changed {
        Unit(u8),
        Tuple,
        Struct { a: &'static str },
    }
    assert_eq!(unreadable::<Kind>(&stored(&Changed::Unit(1))).path, "Unit");
    assert_eq!(unreadable::<Kind>(&stored(&Changed::Tuple)).path, "Tuple");
    assert_eq!(unreadable::<Kind>(&stored(&Changed::Struct { a: "" })).path, "Struct.a");
    let longer = unreadable::<([u8; 2], u8)>(&stored(&([1, 2, 3], 4)));
    assert_eq!(longer.to_string(), "cannot read `[0]`: invalid length 3, expected 2 elements");
    unreadable::<[u8; 4]>(&stored(&[1, 2, 3]));
    let long = unreadable::<u8>(&stored(&"x".repeat(10_000)));
    assert!(long.to_string().len() < 1_000);
}

/// Bytes that are no stored value are refused for what they are.
#[test]
fn damaged_bytes_are_refused() {
    let reason = |bytes: &[u8]| unreadable::<serde_json::Value>(bytes).reason;
    assert_eq!(reason(&[]), DecodeReason::Truncated);
    assert_eq!(reason(&[0, 1]), DecodeReason::Version(0));
    assert_eq!(reason(&[2, 1]), DecodeReason::Version(2));
    assert_eq!(
        unreadable::<u8>(&[2, 1]).to_string(),
        "cannot read the value: it is stored in format version 2, and this program reads version 1"
    );
    assert_eq!(reason(&[1]), DecodeReason::Truncated);
    assert_eq!(reason(&[1, 1, 1]), DecodeReason::TrailingBytes(1));
    assert_eq!(reason(&[1, 0xff]), DecodeReason::Damaged(1));
    assert_eq!(reason(&[1, 0x41, 0xff]), DecodeReason::Damaged(2));
    assert_eq!(reason(&[1, 0xdb, 0x80, 0xb0, 0x03]), DecodeReason::Damaged(4), "a surrogate");
    let overlong = [1, 0xd5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
    assert_eq!(reason(&overlong), DecodeReason::Damaged(11));
    for tag in [0xdc, 0xdd, 0xde, 0xdf] {
        assert_eq!(reason(&[1, tag, 0xff, 0xff, 0xff, 0xff, 0x0f]), DecodeReason::Truncated);
    }
    for value in outers() {
        let bytes = stored(&value);
        for end in 0..bytes.len() {
            unreadable::<Outer>(&bytes[..end]);
            unreadable::<de::IgnoredAny>(&bytes[..end]);
            to_json(&bytes[..end]).unwrap_err();
        }
    }
}

/// A reader is never told of more elements than the input can hold, in all levels together.
#[test]
fn announced_lengths_stay_below_the_input() {
    thread_local! {
        static ANNOUNCED: Cell<usize> = const { Cell::new(0) };
        static MOST: Cell<usize> = const { Cell::new(0) };
    }
    #[derive(Debug)]
    struct Nested;
    impl<'de> Deserialize<'de> for Nested {
        fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Read;
            impl<'de> Visitor<'de> for Read {
                type Value = Nested;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("nested sequences")
                }
                fn visit_u64<E>(self, _: u64) -> Result<Nested, E> {
                    Ok(Nested)
                }
                fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Nested, A::Error> {
                    let hint = seq.size_hint().expect("every length is known");
                    ANNOUNCED.set(ANNOUNCED.get() + hint);
                    MOST.set(MOST.get().max(ANNOUNCED.get()));
                    while seq.next_element::<Nested>()?.is_some() {}
                    ANNOUNCED.set(ANNOUNCED.get() - hint);
                    Ok(Nested)
                }
            }
            deserializer.deserialize_any(Read)
        }
    }
    // Each level announces 200 elements, of which the first is the next level.
    let mut greedy = vec![FORMAT_VERSION];
    for _ in 0..100 {
        greedy.extend([0xde, 0xc8, 0x01]);
    }
    greedy.resize(1 + 300 + 200, 1);
    assert_eq!(unreadable::<Nested>(&greedy).reason, DecodeReason::Truncated);
    assert!((200..=greedy.len()).contains(&MOST.get()), "{}", MOST.get());

    ANNOUNCED.set(0);
    let honest = stored(&vec![vec![vec![1; 50]; 20]; 10]);
    from_bytes::<Nested>(&honest).expect("all levels fit");
    assert_eq!(ANNOUNCED.get(), 0);
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Whatever the bytes are, reading ends with a value or an error; and what was read can be
/// stored and read again.
#[test]
fn random_bytes_never_panic() {
    fn read<T: DeserializeOwned + Serialize>(bytes: &[u8]) {
        if let Ok(value) = from_bytes::<T>(bytes)
            && let Ok(again) = to_bytes(&value)
        {
            assert!(from_bytes::<T>(&again).is_ok(), "{bytes:02x?} -> {again:02x?}");
        }
    }
    let mut corpus: Vec<Vec<u8>> = outers().iter().map(stored).collect();
    corpus.extend(outers().into_iter().map(|outer| stored(&Internal::Newtype(outer))));
    corpus.extend(kinds().into_iter().map(|kind| stored(&Untagged::Kind { kind })));
    corpus.push(stored(&tree(20, |tree| Tree::Many(vec![tree, Tree::Leaf]))));
    corpus.push(stored(&(i128::MIN, u128::MAX, 0.5_f32, 0.5_f64, 'ß', bytes::Bytes::from("abc"))));
    corpus.push(stored(&BTreeMap::from([((1, -300_i64), vec![Some("x".repeat(80))])])));
    corpus.push(stored(&(0..100).collect::<Vec<u32>>()));
    let tags = [0xd0, 0xd1, 0xd4, 0xd5, 0xd7, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xe1, 0x80, 0xa1];

    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..20_000 {
        let mut bytes = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(4) {
            let at = 1 + random.below(bytes.len() - 1);
            match random.below(6) {
                0 => bytes.truncate(at + 1),
                1 => bytes[at] = random.next() as u8,
                2 => bytes[at] ^= 1 << random.below(8),
                3 => bytes[at] = tags[random.below(tags.len())],
                4 => bytes.insert(at, tags[random.below(tags.len())]),
                _ => {
                    let other = &corpus[random.below(corpus.len())];
                    let from = random.below(other.len());
                    bytes.splice(at..at, other[from..].iter().take(40).copied());
                }
            }
        }
        read::<Outer>(&bytes);
        read::<Internal>(&bytes);
        read::<Untagged>(&bytes);
        read::<Adjacent>(&bytes);
        read::<Tree>(&bytes);
        read::<ById>(&bytes);
        read::<(i128, u128, f32, f64, char, bytes::Bytes)>(&bytes);
        read::<BTreeMap<(i8, i64), Vec<Option<String>>>>(&bytes);
        read::<Vec<u32>>(&bytes);
        read::<serde_json::Value>(&bytes);
        let passed_over = from_bytes::<de::IgnoredAny>(&bytes).is_ok();
        assert_eq!(to_json(&bytes).is_ok(), passed_over, "{bytes:02x?}");
    }
}

/// Values are shown as JSON, with a readable form for what JSON has none for.
#[test]
fn values_are_shown_as_json() {
    #[track_caller]
    fn shows<T: Serialize>(value: T, expected: serde_json::Value) {
        assert_eq!(to_json(&stored(&value)).unwrap(), expected);
    }
    for outer in outers() {
        let shown = to_json(&stored(&outer)).unwrap();
        assert_eq!(shown, serde_json::to_value(&outer).unwrap());
    }
    shows(kinds(), serde_json::to_value(kinds()).unwrap());
    shows((u64::MAX, i64::MIN), json!([u64::MAX, i64::MIN]));
    shows(u128::MAX, json!("340282366920938463463374607431768211455"));
    shows(i128::MIN, json!("-170141183460469231731687303715884105728"));
    shows([f64::NAN, f64::INFINITY, f64::NEG_INFINITY], json!(["NaN", "Infinity", "-Infinity"]));
    shows(0.1_f32, json!(0.1));
    shows(f32::NAN, json!("NaN"));
    shows('x', json!("x"));
    shows(bytes::Bytes::from_static(&[0, 0xab]), json!("0x00ab"));
    shows((Some(Some(1)), Some(None::<u8>), ()), json!([1, null, null]));
    shows(BTreeMap::from([((1, 2), 'a'), ((3, 4), 'b')]), json!({"[1,2]": "a", "[3,4]": "b"}));
    shows(BTreeMap::from([(Kind::Unit, -5), (Kind::Nothing(()), 5)]), json!({"Unit": -5, "{\"Nothing\":null}": 5}));
    shows(BTreeMap::from([(Some(5), 1), (None, 2)]), json!({"5": 1, "null": 2}));
    #[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
    #[serde(untagged)]
    enum Either {
        Number(u8),
        Text(&'static str),
    }
    shows(BTreeMap::from([(Either::Number(5), 1), (Either::Text("5"), 2)]), json!({"5": 1, "5#2": 2}));
}
