//! The columns of one model's records, and the value of a record in each: the list of
//! `quintile_scoring::record_columns`, followed by the model's features.

use quintile_scoring::record_columns::{CategoryLabels, ColumnType, FIXED, Field, feature_columns};
use uuid::Uuid;

use super::{Extras, Floats, Frame, RecordSource, Schema};

/// A column of one model's records.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name, which no other column has, without regard to case.
    pub name: String,
    /// What its values are.
    pub column_type: ColumnType,
    /// Whether it may be null.
    pub is_nullable: bool,
    /// Whether its values repeat.
    pub repeats: bool,
    /// What it holds.
    pub content: Content,
}

/// Where a column's values come from.
#[derive(Debug, Clone)]
pub enum Content {
    /// What every record says.
    Field(Field),
    /// A feature, by its column in the model.
    Feature(usize),
    /// A feature whose categories have names, by its column in the model.
    Category(usize, CategoryLabels),
}

/// The columns of a model's records.
#[derive(Debug, Clone)]
pub struct Columns(Vec<Column>);

impl Columns {
    /// Every column: first those of [`FIXED`], then the features.
    #[must_use]
    pub fn of(schema: &Schema) -> Self {
        let fixed = FIXED.iter().map(|column| Column {
            name: column.name.into(),
            column_type: match column.field {
                Field::Margin if schema.margins != 1 => ColumnType::DoubleList,
                Field::Prediction if schema.predictions != 1 => ColumnType::DoubleList,
                _ => column.column_type,
            },
            is_nullable: column.is_nullable,
            repeats: column.repeats,
            content: Content::Field(column.field),
        });
        let names = feature_columns(schema.features.iter().map(String::as_str));
        let mut labels: Vec<Option<CategoryLabels>> = vec![None; names.len()];
        for categories in &schema.categories {
            // A description that names a column beyond the features is one of another program.
            if let Some(place) = labels.get_mut(categories.column) {
                *place = Some(CategoryLabels::new(categories.names.clone()));
            }
        }
        let features = names
            .into_iter()
            .zip(labels)
            .enumerate()
            .map(|(number, (name, labels))| {
                let (column_type, repeats, content) = match labels {
                    Some(labels) => (ColumnType::Text, true, Content::Category(number, labels)),
                    None => (ColumnType::Double, false, Content::Feature(number)),
                };
                Column {
                    name,
                    column_type,
                    is_nullable: true,
                    repeats,
                    content,
                }
            });
        Self(fixed.chain(features).collect())
    }
}

impl std::ops::Deref for Columns {
    type Target = [Column];

    fn deref(&self) -> &[Column] {
        &self.0
    }
}

/// The value of a field in a record.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    /// Nothing.
    Null,
    /// A text.
    Text(&'a str),
    /// An id.
    Id(Uuid),
    /// Microseconds since 1970.
    Time(i64),
    /// A number; NaN is nothing.
    Double(f64),
    /// A whole number.
    Whole(u16),
    /// The outputs of a model; NaN is nothing.
    Doubles(Floats<'a>),
}

impl<'a> Cell<'a> {
    /// What a record says of a field.
    #[must_use]
    pub fn of(field: Field, record: &Frame<'a>, schema: &'a Schema) -> Self {
        let text = |text: Option<&'a str>| text.map_or(Cell::Null, Cell::Text);
        let extra = |extra: fn(&Extras<'a>) -> Option<&'a str>| text(extra(&record.extras));
        match field {
            Field::RecordId => Cell::Id(record.record_id),
            Field::Time => Cell::Time(record.time_us),
            Field::LeadId => Cell::Text(record.lead_id),
            Field::RequestId => Cell::Text(record.request_id),
            Field::Model => Cell::Text(&schema.model),
            Field::ModelVersion => Cell::Text(&schema.version),
            Field::Margin => Cell::Doubles(record.margins),
            Field::Prediction => Cell::Doubles(record.predictions),
            Field::Score => record.score.map_or(Cell::Null, |score| Cell::Whole(score.into())),
            Field::LatencyUs => Cell::Double(microseconds(record.latency_ns)),
            Field::Shard => Cell::Whole(record.shard),
            Field::Source => text(record.source.map(RecordSource::name)),
            Field::SourceReason => text(record.source.and_then(RecordSource::reason)),
            Field::Role => extra(Extras::role),
            Field::Protocol => extra(Extras::protocol),
            Field::ModelSha256 => text(schema.sha256.as_deref()),
            Field::Reasons => extra(Extras::reasons),
            Field::FeaturesFrom => extra(Extras::features_from),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a request takes less than the 104 days that are exact"
)]
fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::super::CategoryNames;
    use super::*;

    #[test]
    fn columns_are_those_of_every_model_and_its_features() {
        let columns = Columns::of(&Schema {
            model_number: 1,
            model: "m".into(),
            version: "1".into(),
            sha256: None,
            margins: 3,
            predictions: 1,
            features: ["Score", "channel", "x"].map(String::from).to_vec(),
            categories: vec![
                CategoryNames {
                    column: 1,
                    names: vec!["ad".into()],
                },
                CategoryNames {
                    column: 9,
                    names: vec!["of another program".into()],
                },
            ],
        });
        let types: Vec<_> = columns[FIXED.len()..]
            .iter()
            .map(|column| (column.name.as_str(), column.column_type))
            .collect();
        let (double, text) = (ColumnType::Double, ColumnType::Text);
        assert_eq!(types, [("feature.Score", double), ("channel", text), ("x", double)]);
        let of = |field| {
            let is_it = |column: &&Column| matches!(column.content, Content::Field(own) if own == field);
            columns.iter().find(is_it).unwrap().column_type
        };
        assert_eq!(
            (of(Field::Margin), of(Field::Prediction)),
            (ColumnType::DoubleList, double)
        );
    }
}
