use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[derive(Serialize)]
struct Unit;
#[derive(Serialize)]
struct Pair(i8, f32);
#[derive(Serialize)]
enum Kind {
    Unit,
    One(u64),
    Two(i64, char),
    Named { a: Option<f64>, b: () },
}
#[derive(Serialize)]
struct All<'a> {
    unit: Unit,
    pair: Pair,
    kinds: [Kind; 4],
    empty: BTreeMap<String, u8>,
    map: BTreeMap<&'a str, [u16; 2]>,
    #[serde(flatten)]
    rest: &'a Value,
    text: &'a str,
    #[serde(rename = "camelCase")]
    renamed: (bool, i32),
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn it_is_what_serde_json_writes(value in any_json(), text in any::<String>(), n in any::<i64>(), x in any::<f64>()) {
        prop_assert_eq!(to_string(&value, 0), serde_json::to_string(&value).unwrap());
        let rest = json!({ "rest": value });
        let all = All {
            unit: Unit,
            pair: Pair(-128, 0.1),
            kinds: [Kind::Unit, Kind::One(u64::MAX), Kind::Two(n, '"'), Kind::Named { a: Some(x), b: () }],
            empty: BTreeMap::new(),
            map: [(text.as_str(), [1, 2]), ("b", [3, 4])].into(),
            rest: &rest,
            text: &text,
            renamed: (true, -7),
        };
        prop_assert_eq!(to_string(&all, 0), serde_json::to_string(&all).unwrap());
    }
}

#[test]
fn every_character_that_must_be_escaped_is() {
    for text in (0..=0x2100).filter_map(char::from_u32).map(|c| format!("a{c}b")) {
        assert_eq!(to_string(&text, 0), serde_json::to_string(&text).unwrap());
    }
}

#[test]
fn what_is_no_payload_is_refused() {
    assert!(to_vec(&BTreeMap::from([((1, 2), 3)]), 0).is_err());
    assert!(to_vec(&serde_json::value::RawValue::NULL, 0).is_err());
}
