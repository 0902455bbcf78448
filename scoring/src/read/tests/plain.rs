//! The short way and the long way of a body: the same row and id, bit for bit, and every fault is left to the long one.

use super::super::faults::Fault;
use super::super::plain as short;
use super::*;

/// Reads a body both ways. Whether the short one took it.
pub(super) fn compare(loaded: &LoadedModel, workspace: &mut Workspace, body: &[u8]) -> bool {
    let shown = || body.escape_ascii().to_string();
    let is_plain = short::read(&mut workspace.memory.lead, loaded, body);
    let read = state(workspace);
    let outcome = workspace.read_any(loaded, body);
    compare_sliced(loaded, workspace, body, outcome);
    if is_plain {
        assert_eq!(outcome, Ok(()), "{}", shown());
        assert_eq!(read, state(workspace), "{}", shown());
    }
    is_plain
}

/// Reads a body in slices of a few bytes too: it comes to the same.
fn compare_sliced(loaded: &LoadedModel, workspace: &mut Workspace, body: &[u8], outcome: Result<(), ReadError>) {
    let whole = (state(workspace), said(workspace));
    for bytes in [1, 1 << 20] {
        let mut read = SlicedRead::new(loaded, body);
        let sliced = loop {
            if let Some(outcome) = workspace.read_slice(loaded, &mut read, body, bytes) {
                break outcome;
            }
        };
        let shown = body.escape_ascii();
        assert_eq!(sliced, outcome, "slices of {bytes} bytes: {shown}");
        if !matches!(outcome, Err(ReadError::NotJson(_))) {
            assert_eq!(
                (state(workspace), said(workspace)),
                whole,
                "slices of {bytes} bytes: {shown}"
            );
        }
    }
}

fn said(workspace: &Workspace) -> (Vec<Fault>, usize) {
    (workspace.faults().list().to_vec(), workspace.faults().total())
}

fn state(workspace: &Workspace) -> (String, Vec<u64>) {
    let row = workspace.row().iter().map(|value| value.to_bits()).collect();
    (workspace.lead_id().to_owned(), row)
}

/// A body as a program might write it: some features, in some order, with some space between tokens.
fn body(random: &mut Random, schema: &quintile_model::Schema, order: &[usize]) -> Vec<u8> {
    let space = *random.pick(&[&["", "", ""], &["", " ", " "], &["\n  ", " ", ""], &[" ", "\t", "\r\n"]]);
    let [around, behind_colon, behind_comma] = space;
    let mut features = Vec::new();
    for &column in order {
        if random.below(12) == 0 {
            continue;
        }
        let value = match schema.categories(column).map(|categories| categories.names()) {
            Some(names) if !names.is_empty() => serde_json::to_string(&names[random.below(names.len())]).unwrap(),
            _ => number(random),
        };
        features.push(format!("\"{}\":{behind_colon}{value}", schema.name(column)));
    }
    let features = features.join(&format!(",{behind_comma}{around}"));
    let id = random.next() >> random.below(64);
    let id = format!(
        "\"lead_id\":{behind_colon}\"{}{id}\"",
        random.pick(&["", "lead-", "é", "a b/"])
    );
    let features = format!("\"features\":{behind_colon}{{{around}{features}{around}}}");
    let members = if random.below(4) == 0 {
        [features, id]
    } else {
        [id, features]
    };
    format!(
        "{{{around}{}{around}}}{around}",
        members.join(&format!(",{behind_comma}"))
    )
    .into_bytes()
}

fn number(random: &mut Random) -> String {
    #[expect(clippy::cast_precision_loss, reason = "any double will do")]
    let double = (random.next() >> 11) as f64 / 10f64.powi(i32::try_from(random.below(20)).unwrap());
    match random.below(12) {
        0 => "null".into(),
        1 => format!("{}", random.below(100)),
        2 => format!("-{}", random.below(2)),
        3 => format!("{:e}", double),
        4 => random
            .pick(&["0.0", "-0.0", "1e5", "1E-7", "12345678901234567890", "0.1e+2", "3.4e38"])
            .to_owned(),
        5 => format!("{:.1}", double % 1e9),
        6..=8 => format!("{:.6}", double % 100.0),
        _ => format!("{}", double),
    }
}

fn shuffle(random: &mut Random, order: &mut [usize]) {
    for at in (1..order.len()).rev() {
        order.swap(at, random.below(at + 1));
    }
}

#[test]
fn bodies_of_programs_are_plain_and_read_alike() {
    let mut random = Random::new(0x5EED_0021);
    for loaded in [demo(), fixture("category-names.json"), fixture("lightgbm-names.txt")] {
        let schema = loaded.model.schema();
        let escapes = schema.names().any(|name| name.contains(['"', '\\']));
        let mut order: Vec<usize> = (0..schema.len()).collect();
        let mut workspace = Workspace::new(&loaded, 4096);
        let (mut plain, mut all) = (0, 0);
        for turn in 0..5_000 {
            if turn % 500 == 250 {
                shuffle(&mut random, &mut order);
            }
            let body = body(&mut random, schema, &order);
            plain += usize::from(compare(&loaded, &mut workspace, &body));
            all += 1;
        }
        // The rest has numbers beyond the model's, or names that JSON escapes.
        assert!(escapes || plain > all / 5, "{plain} of {all}");
    }
}

#[test]
fn damage_never_makes_them_differ() {
    let mut random = Random::new(0x5EED_0022);
    let ruled = LoadedModel::demo_with(
        "[features.f1]\nrange = [0, 100]\nrequired = true\n[features.f2]\ntype = \"integer\"\n\
         [features.f9]\ntype = \"boolean\"\n[features.f47]\ncategories = [\"ad\", \"mail\"]\n",
    );
    for loaded in [
        demo(),
        ruled,
        fixture("category-names.json"),
        fixture("lightgbm-names.txt"),
    ] {
        let schema = loaded.model.schema();
        let mut order: Vec<usize> = (0..schema.len()).collect();
        let mut workspace = Workspace::new(&loaded, 4096);
        let (mut plain, mut refused) = (0, 0);
        for turn in 0..20_000 {
            if turn % 500 == 250 {
                shuffle(&mut random, &mut order);
            }
            let few = random.below(order.len() + 1);
            let mut body = body(&mut random, schema, &order[..few]);
            for _ in 0..=random.below(3) {
                fuzz::damage(&mut random, &mut body);
            }
            if compare(&loaded, &mut workspace, &body) {
                plain += 1;
            } else {
                refused += 1;
            }
        }
        assert!(plain > 100 && refused > 500, "{plain} plain, {refused} not");
    }
}

#[test]
fn the_order_of_keys_is_learned_and_only_saves_time() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    for body in [
        r#"{"lead_id":"1","features":{"f9":9,"f1":1,"f50":50}}"#,
        r#"{"lead_id":"1","features":{"f9":9,"f1":1,"f50":50}}"#,
        r#"{"lead_id":"1","features":{"f1":1,"f3":3,"f4":4,"f9":9}}"#,
        r#"{"features":{"f50":50},"lead_id":"1"}"#,
        r#"{"lead_id":"1","features":{}}"#,
    ] {
        assert!(compare(&loaded, &mut workspace, body.as_bytes()), "{body}");
        let named: Vec<String> = (1..=50)
            .zip(workspace.row())
            .filter(|(_, value)| !value.is_nan())
            .map(|(number, value)| format!("\"f{number}\":{value}"))
            .collect();
        assert_eq!(named.len(), body.matches("\"f").count() - 1, "{body}: {named:?}");
        assert!(named.iter().all(|pair| body.contains(pair)), "{body}: {named:?}");
    }
}

#[test]
fn whatever_is_odd_goes_the_long_way() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    for body in [
        r#"{"lead_id":"\u0031","features":{}}"#,
        r#"{"lead_id":"1","lead_id":"1","features":{}}"#,
        r#"{"lead_id":"1","features":{},"features":{}}"#,
        r#"{"lead_id":"1","features":{"f1":1,"f1":1}}"#,
        r#"{"lead_id":"1","features":{"f1":1e400}}"#,
        r#"{"lead_id":"1","features":{"f1":01}}"#,
        r#"{"lead_id":"1","features":{"f1":true}}"#,
        r#"{"lead_id":"1","features":{"f51":1}}"#,
        r#"{"lead_id":"1","features":{"f1":1,}}"#,
        r#"{"lead_id":"1","features":{"f1":nul}}"#,
        r#"{"lead_id":"1","features":null}"#,
        r#"{"lead_id":"1"}"#,
        r#"{"lead_id":"","features":{}}"#,
        r#"{"lead_id":"1","features":{}} x"#,
        r#"{"lead_id":"1","features":{}"#,
        "{\"lead_id\":\"\x01\",\"features\":{}}",
        "[]",
        "",
    ] {
        assert!(!compare(&loaded, &mut workspace, body.as_bytes()), "{body}");
    }
    assert!(!compare(
        &loaded,
        &mut workspace,
        b"{\"lead_id\":\"\xFF\",\"features\":{}}"
    ));
}
