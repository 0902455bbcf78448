//! Why a row gets its margin: contributions of features, exactly.
//!
//! ```text
//! Ensemble ──Explainer::new──▶ plan ──row──▶ outcomes of all splits ──quadrature──▶ contribution of each feature, and the bias
//!     └────────────────────── reference: leaf by leaf, as the definition reads (the oracle) ──────────┘
//! ```
//!
//! The contribution of a feature is its Shapley value in the game that training data defines (`reference.rs` has the
//! definition, `kernel/listed.rs` the algorithm, `docs/reasons.md` both in words). Contributions and bias add up to the
//! margin in 64 bits.
//!
//! Pure, as everything in this crate. Making an [`Explainer`] takes as long as loading a model; explaining a row
//! allocates nothing.

mod aligned;
mod kernel;
mod plan;
mod quadrature;
mod reference;
mod skeleton;

use std::sync::Arc;

use crate::ensemble::{Ensemble, ExplainError, Finish, Input, Linear, Precision};
use crate::kernel::lanes::LaneScratch;
use crate::kernel::real::Real;
use crate::kernel::{KernelChoice, Unsupported, Vectors};
use crate::model::{Reading, read};
use crate::schema::MissingMarkers;
use aligned::AlignedDoubles;
use kernel::{DoublesKernel, full};
use plan::{Outcomes, QuadraturePlan};

/// Why a model cannot be explained with a kernel.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExplainerError {
    /// The model.
    #[error("this model's scores cannot be explained: {0}")]
    Model(#[from] ExplainError),
    /// The CPU.
    #[error(transparent)]
    Kernel(#[from] Unsupported),
}

/// What explains a model's rows: one immutable value, shared between threads, with an [`ExplainScratch`] for each of
/// them.
#[derive(Debug)]
pub struct Explainer {
    form: PrecisionForm,
    columns: usize,
    /// By output, base margin and the mean of the trees; of a linear model, base margin and bias.
    means: Vec<f64>,
    finish: Finish,
    input: Input,
    markers: Option<MissingMarkers>,
    why: String,
}

#[derive(Debug)]
enum PrecisionForm {
    F32(Form<f32>),
    F64(Form<f64>),
}

#[derive(Debug)]
enum Form<T> {
    Reference { ensemble: Arc<Ensemble>, tree_limit: usize },
    Linear(Linear),
    Quadrature(Box<QuadraturePlan<T>>),
}

/// One thread's working memory for one model, and the contributions of its last row.
#[derive(Debug, Clone)]
pub struct ExplainScratch {
    single: Vec<f32>,
    double: Vec<f64>,
    lanes: LaneScratch,
    words: Vec<u64>,
    /// By group of listed trees.
    lefts: Vec<u8>,
    listed: AlignedDoubles,
    full: full::Work,
    sums: Vec<f64>,
    contributions: Vec<f64>,
    columns: usize,
}

impl ExplainScratch {
    /// Contributions of the last row to the margins: for each output one of each column, and then the bias.
    #[must_use]
    pub fn all(&self) -> &[f64] {
        &self.contributions
    }

    /// The same of one output.
    #[must_use]
    pub fn contributions(&self, output: usize) -> &[f64] {
        let width = self.columns + 1;
        self.contributions
            .get(output * width..(output + 1) * width)
            .unwrap_or_default()
    }
}

/// How the rows of a model are read, and what happens to its sums.
pub(crate) struct Rules<'m> {
    pub(crate) input: Input,
    pub(crate) markers: Option<&'m MissingMarkers>,
    pub(crate) finish: &'m Finish,
}

impl Explainer {
    /// Lays a model out. `kernel` chooses as for scoring, but every model that can be explained is explained by each of
    /// them.
    ///
    /// # Errors
    /// The model cannot be explained, or the CPU lacks what the kernel needs.
    pub(crate) fn new(
        ensemble: &Arc<Ensemble>,
        tree_limit: usize,
        kernel: KernelChoice,
        rules: &Rules<'_>,
    ) -> Result<Self, ExplainerError> {
        ensemble.explainable()?;
        let (form, means, why) = match ensemble.precision() {
            Precision::F32 => {
                let (form, means, why) = Form::new(ensemble, tree_limit, kernel)?;
                (PrecisionForm::F32(form), means, why)
            }
            Precision::F64 => {
                let (form, means, why) = Form::new(ensemble, tree_limit, kernel)?;
                (PrecisionForm::F64(form), means, why)
            }
        };
        let bases = ensemble.base_margins().iter();
        Ok(Self {
            form,
            columns: ensemble.schema().len(),
            means: bases.zip(means).map(|(base, mean)| base + mean).collect(),
            finish: rules.finish.clone(),
            input: rules.input,
            markers: rules.markers.cloned(),
            why,
        })
    }

    /// Outputs whose margins are explained.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.means.len()
    }

    /// The kernel in use, never [`KernelChoice::Auto`].
    #[must_use]
    pub fn kernel(&self) -> KernelChoice {
        match &self.form {
            PrecisionForm::F32(form) => form.kernel(),
            PrecisionForm::F64(form) => form.kernel(),
        }
    }

    /// What was chosen and why, a line each.
    #[must_use]
    pub fn explain(&self) -> String {
        let plan = match &self.form {
            PrecisionForm::F32(form) => form.explain(),
            PrecisionForm::F64(form) => form.explain(),
        };
        format!("kernel: {}, because {}\n{plan}", self.kernel(), self.why)
    }

    /// Bytes that explanations hold beside what scoring does.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.form {
            PrecisionForm::F32(form) => form.bytes(),
            PrecisionForm::F64(form) => form.bytes(),
        }
    }

    /// Working memory for [`Self::explain_row`], one for each thread.
    #[must_use]
    pub fn scratch(&self) -> ExplainScratch {
        let mut scratch = ExplainScratch {
            single: Vec::new(),
            double: Vec::new(),
            lanes: LaneScratch::default(),
            words: Vec::new(),
            lefts: Vec::new(),
            listed: AlignedDoubles::default(),
            full: full::Work::default(),
            sums: Vec::new(),
            contributions: vec![0.0; self.means.len() * (self.columns + 1)],
            columns: self.columns,
        };
        let row = self.columns.max(1);
        match &self.form {
            PrecisionForm::F32(form) => {
                scratch.single = vec![f32::NAN; row];
                form.prepare(&mut scratch);
            }
            PrecisionForm::F64(form) => {
                scratch.double = vec![f64::NAN; row];
                form.prepare(&mut scratch);
            }
        }
        scratch
    }

    /// Explains one row: `row` has a value for each column, NaN for missing, and is read as [`crate::Model::score_row`]
    /// reads it. The contributions are left in `scratch`, which was made by [`Self::scratch`]; a value that is infinite
    /// may make those of a linear model infinite or NaN.
    pub fn explain_row(&self, row: &[f64], scratch: &mut ExplainScratch) {
        let width = self.columns + 1;
        scratch.contributions.fill(0.0);
        let reading = Reading {
            input: self.input,
            markers: self.markers.as_ref(),
        };
        match &self.form {
            PrecisionForm::F32(form) => {
                let mut values = std::mem::take(&mut scratch.single);
                read(row, reading, &mut values);
                form.add(&values, width, scratch);
                scratch.single = values;
            }
            PrecisionForm::F64(form) => {
                let mut values = std::mem::take(&mut scratch.double);
                read(row, reading, &mut values);
                form.add(&values, width, scratch);
                scratch.double = values;
            }
        }
        for (sums, &mean) in scratch.contributions.chunks_exact_mut(width).zip(&self.means) {
            sums[self.columns] += mean;
        }
        self.finish(&mut scratch.contributions);
    }

    /// What happens to the margins happens to their parts, in 64 bits.
    fn finish(&self, contributions: &mut [f64]) {
        let (offsets, divisors, scale) = match &self.finish {
            Finish::Nothing => return,
            Finish::Average { divisors, offsets } => (offsets, divisors.as_slice(), 1.0),
            Finish::Scale { scale, offsets } => (offsets, [].as_slice(), *scale),
        };
        let by_output = contributions
            .chunks_exact_mut(self.columns + 1)
            .zip(offsets)
            .enumerate();
        for (output, (sums, offset)) in by_output {
            let divisor = divisors.get(output).copied().unwrap_or(1.0);
            sums.iter_mut().for_each(|sum| *sum = *sum * scale / divisor);
            sums[self.columns] += offset;
        }
    }
}

impl<T: Real> Form<T> {
    fn new(
        ensemble: &Arc<Ensemble>,
        tree_limit: usize,
        kernel: KernelChoice,
    ) -> Result<(Self, Vec<f64>, String), Unsupported> {
        if let Some(linear) = ensemble.linear() {
            let first = ensemble.schema().len() * ensemble.base_margins().len();
            let biases = linear.weights[first..].iter().copied().map(f64::from).collect();
            let why = "a linear model's contributions are products".to_owned();
            return Ok((Self::Linear(linear.clone()), biases, why));
        }
        if kernel == KernelChoice::Reference {
            let form = Self::Reference {
                ensemble: Arc::clone(ensemble),
                tree_limit,
            };
            // The literal way sums the bias too, row by row.
            let means = vec![0.0; ensemble.base_margins().len()];
            return Ok((form, means, "it was asked for".to_owned()));
        }
        let (doubles, vectors, why) = choose(kernel)?;
        let plan = QuadraturePlan::compile(ensemble, tree_limit, doubles, vectors);
        let means = plan.means.clone();
        Ok((Self::Quadrature(Box::new(plan)), means, why))
    }

    fn kernel(&self) -> KernelChoice {
        match self {
            Self::Reference { .. } => KernelChoice::Reference,
            Self::Linear(_) => KernelChoice::Scalar,
            Self::Quadrature(plan) => plan.kernel_choice(),
        }
    }

    fn explain(&self) -> String {
        match self {
            Self::Reference { .. } => "leaf by leaf, as the definition reads: exact and slow".to_owned(),
            Self::Linear(_) => "weight times value, column by column".to_owned(),
            Self::Quadrature(plan) => plan.explain(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Reference { .. } => 0,
            Self::Linear(linear) => size_of_val(linear.weights.as_slice()),
            Self::Quadrature(plan) => plan.bytes(),
        }
    }

    fn prepare(&self, scratch: &mut ExplainScratch) {
        let Self::Quadrature(plan) = self else { return };
        let splits = plan.listed.iter().map(|group| group.splits.len());
        if let Outcomes::Lanes { outcomes, .. } = &plan.outcomes {
            (scratch.lanes, scratch.words) = outcomes.scratch();
        }
        scratch.lefts = vec![0; splits.sum()];
        let work = plan.listed.iter().map(plan::listed::ListedGroup::work);
        scratch.listed = AlignedDoubles::zeros(work.max().unwrap_or(0));
        scratch.full = full::Work::new(&plan.full);
        scratch.sums = vec![0.0; plan.places.len()];
    }

    fn add(&self, row: &[T], width: usize, scratch: &mut ExplainScratch) {
        match self {
            Self::Reference { ensemble, tree_limit } => {
                reference::add(ensemble, *tree_limit, row, &mut scratch.contributions);
            }
            Self::Linear(linear) => add_linear(linear, row, width, &mut scratch.contributions),
            Self::Quadrature(plan) => plan.add(row, width, scratch),
        }
    }
}

/// Each present column's product. The bias is no product, and comes with the base margin.
fn add_linear<T: Real>(linear: &Linear, row: &[T], width: usize, contributions: &mut [f64]) {
    let outputs = contributions.len() / width;
    for (output, sums) in contributions.chunks_exact_mut(width).enumerate() {
        for (column, (sum, value)) in sums[..width - 1].iter_mut().zip(row).enumerate() {
            if !value.is_nan() {
                *sum = f64::from(linear.weights[column * outputs + output]) * value.widen();
            }
        }
    }
}

/// The instructions for a choice, and the vectors that decide splits with them.
fn choose(kernel: KernelChoice) -> Result<(DoublesKernel, Option<Vectors>, String), Unsupported> {
    let refuse = |reason| Unsupported { kernel, reason };
    if kernel != KernelChoice::Auto {
        let doubles = DoublesKernel::new(kernel).map_err(refuse)?;
        let vectors = match kernel {
            KernelChoice::Scalar => None,
            _ => Some(Vectors::new(kernel).map_err(refuse)?),
        };
        return Ok((doubles, vectors, "it was asked for".to_owned()));
    }
    let found = Vectors::all().find_map(|vectors| {
        let doubles = DoublesKernel::new(vectors.choice()).ok()?;
        Some((doubles, Some(vectors), "the CPU has its instructions".to_owned()))
    });
    match found {
        Some(found) => Ok(found),
        None => {
            let doubles = DoublesKernel::new(KernelChoice::Scalar).map_err(refuse)?;
            Ok((doubles, None, "there is no other for this CPU".to_owned()))
        }
    }
}

impl<T: Real> QuadraturePlan<T> {
    fn kernel_choice(&self) -> KernelChoice {
        match (&self.outcomes, self.kernel) {
            (Outcomes::Lanes { outcomes, .. }, _) => outcomes.kernel(),
            (Outcomes::Tests(_), kernel) => kernel.choice(),
        }
    }

    fn explain(&self) -> String {
        let listed: usize = self.listed.iter().map(|group| group.trees.len()).sum();
        let splits = match &self.outcomes {
            Outcomes::Lanes { .. } => "as scoring decides them, 64 trees at once",
            Outcomes::Tests(_) => "one by one",
        };
        let points: Vec<String> = self.listed.iter().map(|group| group.points.to_string()).collect();
        let points = if points.is_empty() {
            String::new()
        } else {
            format!(" with {} points", points.join(", "))
        };
        format!(
            "trees: {} as full ones, side by side; {listed} one by one{points}\nsplits: decided {splits}\nplan: {} bytes",
            self.full_trees,
            self.bytes()
        )
    }

    fn add(&self, row: &[T], width: usize, scratch: &mut ExplainScratch) {
        let ExplainScratch {
            lanes,
            words,
            lefts,
            listed,
            full,
            sums,
            contributions,
            ..
        } = scratch;
        sums.fill(0.0);
        match &self.outcomes {
            Outcomes::Lanes { outcomes, first_words } => {
                outcomes.decide(row, lanes, words);
                self.kernel.full(&self.full, words, full, sums);
                let mut first = 0;
                for (group, first_words) in self.listed.iter().zip(first_words) {
                    let own = &mut lefts[first..first + group.splits.len()];
                    group.unpack(first_words, words, own);
                    first += group.splits.len();
                }
            }
            Outcomes::Tests(tests) => tests.decide(row, lefts),
        }
        let mut first = 0;
        for group in &self.listed {
            let own = &mut lefts[first..first + group.splits.len()];
            self.kernel.listed(group, own, listed, sums);
            first += group.splits.len();
        }
        for (&(output, feature), &sum) in self.places.iter().zip(&*sums) {
            contributions[output as usize * width + feature as usize] = sum;
        }
    }
}
