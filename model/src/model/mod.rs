//! A model as a server holds it: one immutable value, shared between threads, and a scratch for each of them.
//!
//! Only [`Model::build`] can fail; [`Model::score_row`] is total, allocates nothing and takes any values.

mod evaluator;
mod explained;
mod fit;
mod golden;
mod outline;
mod splits;
mod statistics;

pub use evaluator::Scratch;
pub(crate) use evaluator::{Reading, read};
pub use golden::{GoldenFault, GoldenQuantity};
pub use splits::{ColumnSplits, SplitPoints};
pub use statistics::{FeatureUse, Statistics};

use crate::bands::Bands;
use crate::ensemble::{BestError, Ensemble, ExplainError, Finish, Input, PackedEnsemble, Precision, Trees};
use crate::kernel::{KernelChoice, Unsupported};
use crate::manifest::{GoldenRow, InitNote, Manifest, ManifestError};
use crate::objective::Objective;
use crate::schema::Schema;
use evaluator::Engine;
use std::sync::Arc;

/// A model's name and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// What to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Which trees make the prediction.
    pub trees: Trees,
    /// Which kernel evaluates them.
    pub kernel: KernelChoice,
}

/// Why an ensemble, a manifest and options make no model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BuildError {
    /// The best trees cannot be chosen.
    #[error(transparent)]
    Best(#[from] BestError),
    /// The kernel that was asked for cannot evaluate the model.
    #[error(transparent)]
    Kernel(#[from] Unsupported),
    /// The manifest does not fit the model.
    #[error("the manifest does not fit the model: {0}")]
    Manifest(ManifestError),
}

/// A model ready to score.
#[derive(Debug)]
pub struct Model {
    identity: Identity,
    description: Option<String>,
    owner: Option<String>,
    schema: Schema,
    objective: Objective,
    precision: Precision,
    format: &'static str,
    written_by: Option<String>,
    statistics: Statistics,
    margin_len: usize,
    tree_count: usize,
    node_count: usize,
    file_trees: usize,
    bands: Option<Bands>,
    band_names: Option<[String; 5]>,
    /// The prediction that is banded.
    banded: usize,
    /// The prediction that is a probability, when one is.
    probability: Option<usize>,
    notes: Vec<String>,
    golden: Vec<GoldenRow>,
    init: InitNote,
    input: Input,
    is_input_stated: bool,
    finish: Finish,
    engine: Engine,
    /// Where trees cut what people may change.
    splits: SplitPoints,
    /// What explanations are made from, of a model that can be explained.
    explained: Result<PackedEnsemble, ExplainError>,
}

impl Model {
    /// Compiles an ensemble. `identity` holds the defaults for what the manifest leaves out.
    ///
    /// # Errors
    /// Best trees of a model without a usable `best_iteration`, a kernel that does not support the model, or a manifest
    /// that does not fit it (all of its faults at once).
    pub fn build(
        mut ensemble: Ensemble,
        manifest: Manifest,
        identity: Identity,
        options: Options,
    ) -> Result<Self, BuildError> {
        let tree_limit = ensemble.tree_limit(options.trees)?;
        let faults = match fit::rename(&manifest, &mut ensemble) {
            // Under other names nothing else of the manifest can be judged.
            Some(fault) => vec![fault],
            None => fit::misfits(&manifest, &ensemble),
        };
        if !faults.is_empty() {
            return Err(BuildError::Manifest(ManifestError { faults }));
        }
        let taken = &ensemble.trees()[..tree_limit];
        let (tree_count, node_count) = (taken.len(), taken.iter().map(|tree| tree.nodes.len()).sum());
        let (precision, format, file_trees) = (ensemble.precision(), ensemble.format(), ensemble.trees().len());
        let statistics = Statistics::of(taken, ensemble.schema().len());
        let written_by = ensemble.written_by().map(str::to_owned);
        let margin_len = ensemble.base_margins().len();
        let mut notes = ensemble.notes().to_vec();
        notes.extend(fit::tree_note(&ensemble, options.trees));
        notes.extend(fit::shares_note(&manifest, &ensemble));
        notes.extend(fit::golden_note(&manifest, tree_count < file_trees));
        let probability = fit::probability(&manifest, ensemble.objective(), margin_len);
        let bands = fit::bands(&manifest, ensemble.objective(), margin_len, &mut notes);
        let (input, finish) = (fit::input(&manifest, &ensemble), ensemble.finish().clone());
        let is_input_stated = manifest.input.is_some();
        let markers = fit::markers(&manifest, &ensemble, input);
        let (mut schema, objective) = (ensemble.schema().clone(), ensemble.objective().clone());
        let ensemble = Arc::new(ensemble);
        let engine = Engine::new(&ensemble, tree_limit, options.kernel)?;
        let explained = PackedEnsemble::new(&ensemble, tree_limit);
        schema.annotate_all(manifest.features);
        schema.set_markers(markers);
        schema.set_groups(manifest.groups);
        let splits = SplitPoints::of(&ensemble, tree_limit, &schema, input);
        let name = manifest.name.unwrap_or(identity.name);
        let version = manifest.version.unwrap_or(identity.version);
        Ok(Self {
            identity: Identity { name, version },
            description: manifest.description,
            owner: manifest.owner,
            schema,
            objective,
            precision,
            format,
            written_by,
            statistics,
            margin_len,
            tree_count,
            node_count,
            file_trees,
            bands,
            band_names: manifest.band_names.map(|(names, _)| names),
            banded: probability.unwrap_or(0),
            probability,
            notes,
            golden: manifest.golden,
            init: manifest.init,
            input,
            is_input_stated,
            finish,
            engine,
            splits,
            explained,
        })
    }

    /// The name, from the manifest or else from the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// The version, from the manifest or else from the file.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.identity.version
    }

    /// Gives it another name and version, as a store keeps it under these.
    pub fn rename(&mut self, name: &str, version: &str) {
        self.identity = Identity {
            name: name.into(),
            version: version.into(),
        };
    }

    /// The manifest's description.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Who answers for it, from the manifest.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// The features.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Reads rows as they are from now on, to count what they hold: nothing that the manifest demands is asked for, and a name
    /// that is no category is [`crate::UNKNOWN_CATEGORY`], which must not be scored.
    pub fn take_all_values(&mut self) {
        self.schema.take_all_values();
    }

    /// The arithmetic of margins and predictions.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The precision that a row's values are rounded to: that of the arithmetic, but `f32` for CatBoost, which narrows
    /// them and sums in `f64`.
    #[must_use]
    pub fn input_precision(&self) -> Precision {
        match self.input {
            Input::Narrowed | Input::NarrowedFlushed => Precision::F32,
            Input::Rounded | Input::Flushed => self.precision,
        }
    }

    /// Whether the manifest states the precision of inputs; else it is the format's own rule.
    #[must_use]
    pub fn is_input_stated(&self) -> bool {
        self.is_input_stated
    }

    fn reading(&self) -> Reading<'_> {
        Reading {
            input: self.input,
            markers: self.schema.markers(),
        }
    }

    /// Margins of a row: classes, targets or quantiles.
    #[must_use]
    pub fn margin_len(&self) -> usize {
        self.margin_len
    }

    /// Predictions of a row: as many as margins, but one for `multi:softmax`.
    #[must_use]
    pub fn prediction_len(&self) -> usize {
        self.objective.prediction_len(self.margin_len)
    }

    /// Whether there is a single prediction and it is a probability.
    #[must_use]
    pub fn is_probability(&self) -> bool {
        is_probability(&self.objective, self.margin_len)
    }

    /// Which prediction is the probability that is banded, from 0: the only one, or the one of several that the
    /// manifest names. None when there is no probability, or several and none is named.
    #[must_use]
    pub fn probability_output(&self) -> Option<usize> {
        self.probability
    }

    /// How a prediction becomes a score; none when nothing says how.
    #[must_use]
    pub fn bands(&self) -> Option<&Bands> {
        self.bands.as_ref()
    }

    /// The manifest's names of the bands, lowest first.
    #[must_use]
    pub fn band_names(&self) -> Option<&[String; 5]> {
        self.band_names.as_ref()
    }

    /// The manifest's golden rows.
    #[must_use]
    pub fn golden(&self) -> &[GoldenRow] {
        &self.golden
    }

    /// What `manifest init` says of its own work in the manifest.
    #[must_use]
    pub fn init(&self) -> &InitNote {
        &self.init
    }

    /// Whether predictions are shares of classes: the averaged votes of a forest.
    #[must_use]
    pub fn are_shares(&self) -> bool {
        self.objective.are_shares()
    }

    /// Whether any prediction is a probability, of its own or of one of several classes.
    #[must_use]
    pub fn gives_probabilities(&self) -> bool {
        self.objective.gives_probabilities()
    }

    /// The band of a row's predictions, from any scorer; none for a model without bands.
    #[must_use]
    pub fn band(&self, predictions: &[f64]) -> Option<u8> {
        let bands = self.bands.as_ref()?;
        predictions.get(self.banded).map(|&prediction| bands.score(prediction))
    }

    /// The prediction that is banded, of a row's.
    #[must_use]
    pub fn banded(&self, predictions: &[f64]) -> f64 {
        predictions.get(self.banded).copied().unwrap_or(f64::NAN)
    }

    /// Where trees cut the values of the features that people may change.
    #[must_use]
    pub fn splits(&self) -> &SplitPoints {
        &self.splits
    }

    /// Something more to say when the model is loaded.
    pub fn add_note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// What to say when the model is loaded, a sentence each.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Working memory for [`Self::score_row`], one for each thread.
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        Scratch::new(&self.engine, self.row_len(), self.margin_len, self.prediction_len())
    }

    /// Scores one row: `row` has a value for each column of the schema, NaN for missing. Margins and predictions are
    /// left in `scratch`; returned is the band, 1 to 5, of a model that has bands.
    ///
    /// Values of an `f32` model narrow as `astype(float32)` does: round to nearest, infinite beyond its range. A row
    /// that is too short counts as missing beyond its end. A scratch of another model is replaced, which allocates.
    pub fn score_row(&self, row: &[f64], scratch: &mut Scratch) -> Option<u8> {
        debug_assert_eq!(row.len(), self.schema.len(), "a row has a value for each column");
        if !scratch.fits(&self.engine, self.row_len(), self.margin_len, self.prediction_len()) {
            *scratch = self.scratch();
        }
        self.engine
            .evaluate(row, self.reading(), &self.finish, &self.objective, scratch);
        self.band(scratch.predictions())
    }

    /// Scores many rows, one after the other in `rows` with a value for each column, and hands on each one's number and
    /// band with the scratch that holds its margins and predictions. The answers are those of [`Self::score_row`];
    /// kernels that can take several rows at once.
    pub fn score_rows(&self, rows: &[f64], scratch: &mut Scratch, mut each: impl FnMut(usize, Option<u8>, &Scratch)) {
        let width = self.row_len();
        debug_assert!(
            rows.len().is_multiple_of(width),
            "every row has a value for each column"
        );
        if !scratch.fits(&self.engine, width, self.margin_len, self.prediction_len()) {
            *scratch = self.scratch();
        }
        let rules = (self.reading(), &self.finish, &self.objective);
        self.engine
            .evaluate_rows((rows, width), rules, scratch, |number, scratch| {
                let banded = scratch.predictions().get(self.banded);
                let band = self
                    .bands
                    .as_ref()
                    .and_then(|bands| banded.map(|&prediction| bands.score(prediction)));
                each(number, band, scratch);
            });
    }

    /// The kernel in use, never [`KernelChoice::Auto`].
    #[must_use]
    pub fn kernel(&self) -> KernelChoice {
        self.engine.kernel()
    }

    /// What was chosen and why, several lines.
    #[must_use]
    pub fn explain(&self) -> String {
        let trees = format!("trees: {} of the file's {}", self.tree_count, self.file_trees);
        format!("{trees}\n{}", self.engine.explain())
    }

    /// What the file was, for people: `XGBoost JSON`.
    #[must_use]
    pub fn format(&self) -> &str {
        self.format
    }

    /// What wrote the file, for people, as far as it says: `XGBoost 3.2.0`.
    #[must_use]
    pub fn written_by(&self) -> Option<&str> {
        self.written_by.as_deref()
    }

    /// What the trees in use are like.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The training objective, as the library names it.
    #[must_use]
    pub fn objective(&self) -> &str {
        self.objective.name()
    }

    /// Trees in use.
    #[must_use]
    pub fn tree_count(&self) -> usize {
        self.tree_count
    }

    /// Nodes of the trees in use, as the file counts them.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.node_count
    }

    /// Bytes the evaluated form holds. Names and notes are not counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.engine.bytes()
    }

    /// A leaf's step reads column 0, so there is one even for a model without features.
    fn row_len(&self) -> usize {
        self.schema.len().max(1)
    }
}

fn is_probability(objective: &Objective, margin_len: usize) -> bool {
    objective.is_probability() && margin_len == 1
}
