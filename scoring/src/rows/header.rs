//! Which cell of a row belongs to which column of the model.

use std::collections::{HashMap, HashSet};

use quintile_model::Schema;
use quintile_model::nearest::nearest;

use super::cells;
use crate::missing_texts::MissingTexts;
use crate::text::excerpt;

/// Names that an error or a note lists one by one.
const NAMES_MAX: usize = 8;

/// Why a header does not fit the model.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what each is")]
pub enum HeaderError {
    #[error("there is no header line: the first line names the columns")]
    Absent,
    #[error("the first line holds numbers, not names: the first line names the columns, as {0}")]
    Numbers(String),
    #[error("column {name} occurs twice in the header")]
    Twice { name: String },
    #[error(
        "columns {one} and {other} are both the model's feature {feature}, for LightGBM writes spaces of names as underscores: \
         leave one of them out"
    )]
    TwoSpellings {
        one: String,
        other: String,
        feature: String,
    },
    #[error("the rows have no column {name}, which is asked for; they have {listed}")]
    NoId { name: String, listed: String },
    #[error(
        "the header names only some of the model's features: {missing}; there are {found}. Columns count by position only \
         where the header has none of these names{}", meant(.likely)
    )]
    Some {
        missing: String,
        found: String,
        likely: Vec<(String, String)>,
    },
    #[error("{cells} columns do not fit the model's {features}: {missing}; {extra}{}", meant(.likely))]
    Misfit {
        cells: usize,
        features: usize,
        missing: String,
        extra: String,
        likely: Vec<(String, String)>,
    },
}

impl HeaderError {
    /// Columns of the rows whose names are close to that of a feature which is missing: the rows' name, then the
    /// model's.
    #[must_use]
    pub fn likely(&self) -> &[(String, String)] {
        match self {
            Self::Some { likely, .. } | Self::Misfit { likely, .. } => likely,
            Self::Absent | Self::Numbers(_) | Self::Twice { .. } | Self::TwoSpellings { .. } | Self::NoId { .. } => &[],
        }
    }
}

/// What a header's names probably mean, as the end of a sentence.
fn meant(likely: &[(String, String)]) -> String {
    let pairs = likely.iter().take(NAMES_MAX);
    let pairs: Vec<String> = pairs
        .map(|(from, to)| format!("{} for {}", excerpt(from), excerpt(to)))
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("; perhaps it has {}", pairs.join(", "))
    }
}

/// For each feature that the header lacks the name in the header that is close to it, each name once.
fn likely_names<'n>(missing: &[&'n str], extra: &[&'n str]) -> Vec<(String, String)> {
    let mut free = extra.to_vec();
    let mut likely = Vec::new();
    for feature in missing {
        if let Some(name) = nearest(feature, free.iter().copied()) {
            free.retain(|other| *other != name);
            likely.push((name.to_owned(), (*feature).to_owned()));
        }
    }
    likely
}

/// The model's columns by the names that a header may have for them.
pub(super) struct NamedColumns<'s> {
    names: Vec<&'s str>,
    exact: HashMap<&'s str, usize>,
    /// By names with underscores for spaces, where both mean the feature.
    spelled: HashMap<String, usize>,
}

impl<'s> NamedColumns<'s> {
    pub(super) fn new(schema: &'s Schema) -> Self {
        let names: Vec<&str> = schema.names().collect();
        let spelled = names.iter().map(|name| name.replace(' ', "_")).zip(0..);
        Self {
            exact: names.iter().copied().zip(0..).collect(),
            spelled: if schema.has_lost_spaces() {
                spelled.collect()
            } else {
                HashMap::new()
            },
            names,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<usize> {
        let exact = self.exact.get(name).copied();
        exact.or_else(|| self.spelled.get(&name.replace(' ', "_")).copied())
    }

    fn name(&self, column: usize) -> &'s str {
        self.names[column]
    }

    fn len(&self) -> usize {
        self.names.len()
    }
}

/// What a row's cells are.
#[derive(Debug)]
pub(super) struct Cells {
    /// The names of all cells.
    pub(super) names: Vec<String>,
    /// The model's column of each, none for one that is ignored.
    pub(super) places: Vec<Option<usize>>,
    /// The cell that is given back.
    pub(super) id: Option<usize>,
    /// What to say about it.
    pub(super) said: Vec<String>,
    /// Texts that are missing values beside the usual ones.
    pub(super) missing: MissingTexts,
    /// Whether a row whose cells are all empty is no row but a fault.
    pub(super) blank_is_fault: bool,
}

impl Cells {
    /// Matches the cells of a header with the model's columns. An id that is none of them is left out of the matching.
    pub(super) fn new(names: Vec<String>, schema: &Schema, id: Option<&str>) -> Result<Self, HeaderError> {
        let id = id.map(|id| id_cell(&names, id)).transpose()?;
        let columns = NamedColumns::new(schema);
        let aside = id.filter(|&cell| columns.get(&names[cell]).is_none());
        let mut matched = names.clone();
        if let Some(cell) = aside {
            matched.remove(cell);
        }
        let (mut places, said) = places(&matched, schema, &columns)?;
        if let Some(cell) = aside {
            places.insert(cell, None);
        }
        Ok(Self {
            names,
            places,
            id,
            said,
            missing: MissingTexts::default(),
            blank_is_fault: false,
        })
    }
}

fn id_cell(names: &[String], id: &str) -> Result<usize, HeaderError> {
    let mut cells = names.iter().enumerate().filter(|(_, name)| *name == id);
    match (cells.next(), cells.next()) {
        (Some((cell, _)), None) => Ok(cell),
        (Some(_), Some(_)) => Err(HeaderError::Twice { name: excerpt(id) }),
        (None, _) => Err(HeaderError::NoId {
            name: excerpt(id),
            listed: listed(names.iter().map(String::as_str)),
        }),
    }
}

/// The column of each cell, none for one that is ignored; and what to say about it.
fn places(names: &[String], schema: &Schema, columns: &NamedColumns<'_>) -> Result<Places, HeaderError> {
    let exact: Vec<&str> = names.iter().map(String::as_str).collect();
    if let Some(found) = by_name(&exact, columns)? {
        return Ok(found);
    }
    let trimmed: Vec<&str> = names.iter().map(|name| name.trim()).collect();
    if let Some(found) = by_name(&trimmed, columns)? {
        return Ok(found);
    }
    if is_data(names) {
        return Err(HeaderError::Numbers(listed(schema.names())));
    }
    let present: HashSet<usize> = exact
        .iter()
        .chain(&trimmed)
        .filter_map(|name| columns.get(name))
        .collect();
    let missing: Vec<&str> = schema
        .names()
        .zip(0..)
        .filter(|(_, column)| !present.contains(column))
        .map(|(name, _)| name)
        .collect();
    let extra: Vec<&str> = trimmed
        .iter()
        .copied()
        .filter(|name| columns.get(name).is_none())
        .collect();
    let likely = likely_names(&missing, &extra);
    if names.len() != schema.len() {
        return Err(HeaderError::Misfit {
            cells: names.len(),
            features: schema.len(),
            missing: counted("missing", &missing),
            extra: counted("not the model's", &extra),
            likely,
        });
    }
    // Even where the known names stand in their places, the column between them may be another one's.
    if trimmed.iter().any(|name| columns.get(name).is_some()) {
        return Err(HeaderError::Some {
            missing: counted("missing", &missing),
            found: found(&trimmed, columns),
            likely,
        });
    }
    let said = vec![format!(
        "columns are taken by position: the header does not name {}",
        listed(missing.iter().copied())
    )];
    Ok(((0..names.len()).map(Some).collect(), said))
}

type Places = (Vec<Option<usize>>, Vec<String>);

/// None when a name of the model is not there.
fn by_name(names: &[&str], columns: &NamedColumns<'_>) -> Result<Option<Places>, HeaderError> {
    let places: Vec<_> = names.iter().map(|name| columns.get(name)).collect();
    let mut taken: Vec<Option<&str>> = vec![None; columns.len()];
    let mut twice = None;
    for (column, name) in places
        .iter()
        .zip(names)
        .filter_map(|(place, name)| Some(((*place)?, name)))
    {
        match taken[column] {
            Some(before) => twice = twice.or(Some((column, before, *name))),
            None => taken[column] = Some(name),
        }
    }
    if taken.contains(&None) {
        return Ok(None);
    }
    if let Some((column, one, other)) = twice {
        return Err(match one == other {
            true => HeaderError::Twice { name: excerpt(one) },
            false => HeaderError::TwoSpellings {
                one: excerpt(one),
                other: excerpt(other),
                feature: excerpt(columns.name(column)),
            },
        });
    }
    let ignored: Vec<&str> = places
        .iter()
        .zip(names)
        .filter(|(place, _)| place.is_none())
        .map(|(_, name)| *name)
        .collect();
    let said = if ignored.is_empty() {
        Vec::new()
    } else {
        vec![format!("not taken by the model: {}", listed(ignored.iter().copied()))]
    };
    Ok(Some((places, said)))
}

/// Whether a header is missing and its place taken by the first row, which would be lost. Column numbers, as pandas
/// writes them for a table without names, are a header.
pub(super) fn is_data(names: &[String]) -> bool {
    let is_count = |first: usize| {
        names
            .iter()
            .zip(first..)
            .all(|(name, number)| name.trim() == number.to_string())
    };
    let values: Vec<_> = names.iter().map(|name| cells::value(name.as_bytes())).collect();
    values.iter().all(Option::is_some)
        && values.iter().flatten().any(|value| !value.is_nan())
        && !is_count(0)
        && !is_count(1)
}

/// Where the header's known names are: `"age" (column 2, the model's 1)`.
fn found(names: &[&str], columns: &NamedColumns<'_>) -> String {
    let known = names.iter().enumerate().filter_map(|(at, name)| {
        let column = columns.get(name)?;
        Some(format!(
            "{} (column {}, the model's {})",
            excerpt(name),
            at + 1,
            column + 1
        ))
    });
    let known: Vec<String> = known.collect();
    let mut text = known
        .iter()
        .take(NAMES_MAX)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if known.len() > NAMES_MAX {
        text.push_str(&format!(" and {} more", known.len() - NAMES_MAX));
    }
    text
}

fn counted(what: &str, names: &[&str]) -> String {
    match names.len() {
        0 => format!("none {what}"),
        count => format!("{count} {what} ({})", listed(names.iter().copied())),
    }
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut names = names.map(excerpt);
    let mut text = names.by_ref().take(NAMES_MAX).collect::<Vec<_>>().join(", ");
    match names.count() {
        0 => text,
        more => {
            text.push_str(&format!(" and {more} more"));
            text
        }
    }
}
