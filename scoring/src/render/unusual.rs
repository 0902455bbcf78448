//! `"unusual":[{"feature":"visits","value":400.0,"seen":[0.0,11.0]}],"unusual_total":1`: the values of a row that lie
//! far outside what training saw. It is null of a model whose manifest does not say what training saw.

use bytes::BufMut;

use super::{ESCAPE_BYTES_MAX, NUMBER_BYTES_MAX, integer, number, string};
use crate::loaded::LoadedModel;
use crate::loaded::unusual::UnusualValues;

/// What an answer says of unusual values.
#[derive(Debug, Clone, Copy)]
pub struct UnusualFields<'a> {
    /// Which they are.
    pub found: &'a UnusualValues,
    /// The row.
    pub row: &'a [f64],
}

/// Bytes that are written at most.
#[must_use]
pub fn bytes_max(loaded: &LoadedModel, fields: &UnusualFields<'_>) -> usize {
    const FRAME: usize = 64;
    let schema = loaded.model.schema();
    let entry = |&column: &u32| FRAME + ESCAPE_BYTES_MAX * schema.name(column as usize).len() + 3 * NUMBER_BYTES_MAX;
    FRAME + fields.found.columns.iter().map(entry).sum::<usize>()
}

/// Writes the two members, with a comma before each.
pub(super) fn write<B: BufMut>(out: &mut B, loaded: &LoadedModel, fields: &UnusualFields<'_>) {
    let schema = loaded.model.schema();
    let Some(seen) = schema.seen() else {
        return out.put_slice(b",\"unusual\":null,\"unusual_total\":null");
    };
    out.put_slice(b",\"unusual\":[");
    for (index, &column) in fields.found.columns.iter().enumerate() {
        let column = column as usize;
        if index > 0 {
            out.put_u8(b',');
        }
        out.put_slice(b"{\"feature\":");
        string(out, schema.name(column));
        out.put_slice(b",\"value\":");
        number(out, fields.row.get(column).copied().unwrap_or(f64::NAN));
        let (least, greatest) = seen.range(column).unwrap_or((f64::NAN, f64::NAN));
        out.put_slice(b",\"seen\":[");
        number(out, least);
        out.put_u8(b',');
        number(out, greatest);
        out.put_slice(b"]}");
    }
    out.put_slice(b"],\"unusual_total\":");
    integer(out, fields.found.total as u64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loaded::unusual::{LISTED_MAX, SLOTS};

    #[test]
    fn what_is_written_has_room() {
        let seen = |number| format!("[features.f{number}]\nseen = [-1.2345678901234567e-300, 2]\n");
        let loaded = LoadedModel::demo_with(&(1..=50).map(seen).collect::<String>());
        let (mut found, mut counts) = (UnusualValues::default(), [0; SLOTS]);
        let row = [f64::MIN; 50];
        let schema = loaded.model.schema();
        loaded
            .unusual
            .as_ref()
            .unwrap()
            .look(schema, &row, &mut found, &mut counts);
        let fields = UnusualFields {
            found: &found,
            row: &row,
        };
        let mut out = Vec::new();
        write(&mut out, &loaded, &fields);
        assert!(out.len() <= bytes_max(&loaded, &fields), "{}", out.len());
        let text = format!("{{\"a\":0{}}}", String::from_utf8(out).unwrap());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["unusual"].as_array().unwrap().len(), LISTED_MAX);
        assert_eq!(
            (
                &value["unusual"][1]["feature"],
                &value["unusual"][1]["seen"][1],
                &value["unusual_total"]
            ),
            (&"f2".into(), &2.0.into(), &50.into())
        );
        let mut out = Vec::new();
        write(&mut out, &LoadedModel::demo_with(""), &fields);
        assert_eq!(out, b",\"unusual\":null,\"unusual_total\":null");
    }
}
