//! A kernel with its plan, in the model's precision, and the working memory of a thread.

use std::sync::Arc;

use crate::ensemble::{Ensemble, FLUSHED_TO_ZERO, Finish, Input, Precision};
use crate::kernel::block::LaneBlock;
use crate::kernel::lanes::LaneScratch;
use crate::kernel::real::Real;
use crate::kernel::{KernelChoice, Unsupported, Vectors, reference, scalar};
use crate::objective::Objective;
use crate::plan::Plan;
use crate::plan::lanes::LanePlan;
use crate::schema::MissingMarkers;

/// What evaluates the trees.
#[derive(Debug)]
pub(super) enum Engine {
    F32(Evaluator<f32>),
    F64(Evaluator<f64>),
}

#[derive(Debug)]
pub(super) struct Evaluator<T> {
    form: Form<T>,
    /// Why this kernel.
    why: String,
}

/// Up to this many trees a walk may be faster, so both are compared. Beyond it lanes were always faster.
const SMALL_TREES: usize = 64;

/// How much more than with byte permutes over whole lines a small model's row costs with other vectors: 1.9 to 2.1 for
/// AVX2 in the same sweep.
const NARROW_COST: usize = 2;

#[derive(Debug)]
enum Form<T> {
    Reference { ensemble: Arc<Ensemble>, tree_limit: usize },
    Scalar(Box<Plan<T>>),
    Lanes(Vectors, Box<LanePlan<T>>),
}

/// One thread's working memory for one model, and the numbers of its last row.
#[derive(Debug, Clone)]
pub struct Scratch {
    single: Buffers<f32>,
    double: Buffers<f64>,
    margins: Vec<f64>,
    predictions: Vec<f64>,
}

/// The row and the sums in one precision; those of the other one are empty.
#[derive(Debug, Clone, Default)]
struct Buffers<T> {
    row: Vec<T>,
    margins: Vec<T>,
    lanes: LaneScratch,
    block: Block<T>,
}

/// Rows that are evaluated together; empty for kernels that take one at a time.
#[derive(Debug, Clone, Default)]
struct Block<T> {
    rows: Vec<T>,
    margins: Vec<T>,
    lanes: LaneBlock,
    /// How many.
    count: usize,
}

impl Scratch {
    pub(super) fn new(engine: &Engine, columns: usize, margins: usize, predictions: usize) -> Self {
        let (single, double) = match engine {
            Engine::F32(evaluator) => (Buffers::new(evaluator, columns, margins), Buffers::default()),
            Engine::F64(evaluator) => (Buffers::default(), Buffers::new(evaluator, columns, margins)),
        };
        Self {
            single,
            double,
            margins: vec![0.0; margins],
            predictions: vec![0.0; predictions],
        }
    }

    /// Whether it was made for a model of this shape.
    pub(super) fn fits(&self, engine: &Engine, columns: usize, margins: usize, predictions: usize) -> bool {
        let row_fits = match engine {
            Engine::F32(evaluator) => self.single.fits(evaluator, columns, margins),
            Engine::F64(evaluator) => self.double.fits(evaluator, columns, margins),
        };
        row_fits && [self.margins.len(), self.predictions.len()] == [margins, predictions]
    }

    /// The margins of the last row; those of an `f32` model widened, which is exact. Zeros before the first.
    #[must_use]
    pub fn margins(&self) -> &[f64] {
        &self.margins
    }

    /// The predictions of the last row, widened likewise. Zeros before the first.
    #[must_use]
    pub fn predictions(&self) -> &[f64] {
        &self.predictions
    }
}

impl<T: Real> Buffers<T> {
    fn new(evaluator: &Evaluator<T>, columns: usize, margins: usize) -> Self {
        Self {
            row: vec![T::NAN; columns],
            margins: vec![T::ZERO; margins],
            lanes: match &evaluator.form {
                Form::Lanes(_, plan) => LaneScratch::new(plan),
                Form::Reference { .. } | Form::Scalar(_) => LaneScratch::default(),
            },
            block: match &evaluator.form {
                Form::Lanes(_, plan) => {
                    let count = LaneBlock::rows::<T>(columns);
                    Block {
                        rows: vec![T::NAN; columns * count],
                        margins: vec![T::ZERO; margins * count],
                        lanes: LaneBlock::new(plan, count),
                        count,
                    }
                }
                Form::Reference { .. } | Form::Scalar(_) => Block {
                    rows: vec![],
                    margins: vec![],
                    lanes: LaneBlock::default(),
                    count: 1,
                },
            },
        }
    }

    /// Makes the sums of a block's row margins.
    fn take(&mut self, place: usize, finish: &Finish, margins: &mut [f64]) {
        let outputs = self.margins.len();
        self.margins
            .copy_from_slice(&self.block.margins[place * outputs..][..outputs]);
        finish.apply(&mut self.margins);
        for (wide, &margin) in margins.iter_mut().zip(&self.margins) {
            *wide = margin.widen();
        }
    }

    fn fits(&self, evaluator: &Evaluator<T>, columns: usize, margins: usize) -> bool {
        let lanes_fit = match &evaluator.form {
            Form::Lanes(_, plan) => self.lanes.fits(plan),
            Form::Reference { .. } | Form::Scalar(_) => true,
        };
        lanes_fit && [self.row.len(), self.margins.len()] == [columns, margins]
    }
}

impl Engine {
    /// Compiles an ensemble for a kernel.
    ///
    /// # Errors
    /// The kernel does not support it, or the CPU not the kernel.
    pub(super) fn new(ensemble: &Arc<Ensemble>, tree_limit: usize, kernel: KernelChoice) -> Result<Self, Unsupported> {
        Ok(match ensemble.precision() {
            Precision::F32 => Self::F32(Evaluator::new(ensemble, tree_limit, kernel)?),
            Precision::F64 => Self::F64(Evaluator::new(ensemble, tree_limit, kernel)?),
        })
    }

    /// Leaves the margins and predictions of a row in a scratch that fits.
    pub(super) fn evaluate(
        &self,
        row: &[f64],
        reading: Reading<'_>,
        finish: &Finish,
        objective: &Objective,
        scratch: &mut Scratch,
    ) {
        match self {
            Self::F32(evaluator) => {
                evaluator.margins(row, reading, finish, &mut scratch.single, &mut scratch.margins);
                objective.predict_f32(&scratch.single.margins, &mut scratch.predictions);
            }
            Self::F64(evaluator) => {
                evaluator.margins(row, reading, finish, &mut scratch.double, &mut scratch.margins);
                objective.predict_f64(&scratch.double.margins, &mut scratch.predictions);
            }
        }
    }

    /// Does the same for rows of `width` values, and hands each one's number and results on.
    pub(super) fn evaluate_rows(
        &self,
        (rows, width): (&[f64], usize),
        rules: (Reading<'_>, &Finish, &Objective),
        scratch: &mut Scratch,
        mut each: impl FnMut(usize, &Scratch),
    ) {
        let (reading, finish, objective) = rules;
        let count = match self {
            Self::F32(_) => scratch.single.block.count,
            Self::F64(_) => scratch.double.block.count,
        };
        for (number, block) in rows.chunks(count * width).enumerate() {
            let is_block = match self {
                Self::F32(evaluator) => evaluator.block(block, width, reading, &mut scratch.single.block),
                Self::F64(evaluator) => evaluator.block(block, width, reading, &mut scratch.double.block),
            };
            for (place, row) in block.chunks(width).enumerate() {
                let Scratch {
                    single,
                    double,
                    margins,
                    predictions,
                } = &mut *scratch;
                match self {
                    _ if !is_block => self.evaluate(row, reading, finish, objective, scratch),
                    Self::F32(_) => {
                        single.take(place, finish, margins);
                        objective.predict_f32(&single.margins, predictions);
                    }
                    Self::F64(_) => {
                        double.take(place, finish, margins);
                        objective.predict_f64(&double.margins, predictions);
                    }
                }
                each(number * count + place, scratch);
            }
        }
    }

    /// The kernel in use, never [`KernelChoice::Auto`].
    pub(super) fn kernel(&self) -> KernelChoice {
        match self {
            Self::F32(evaluator) => evaluator.kernel(),
            Self::F64(evaluator) => evaluator.kernel(),
        }
    }

    pub(super) fn explain(&self) -> String {
        match self {
            Self::F32(evaluator) => evaluator.explain(),
            Self::F64(evaluator) => evaluator.explain(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::F32(evaluator) => evaluator.bytes(),
            Self::F64(evaluator) => evaluator.bytes(),
        }
    }
}

impl<T: Real> Evaluator<T> {
    fn new(ensemble: &Arc<Ensemble>, tree_limit: usize, kernel: KernelChoice) -> Result<Self, Unsupported> {
        let (form, why) = match kernel {
            KernelChoice::Reference => {
                reference::supports(ensemble)?;
                let ensemble = Arc::clone(ensemble);
                (Form::Reference { ensemble, tree_limit }, "it was asked for".to_owned())
            }
            KernelChoice::Scalar => {
                scalar::supports(ensemble)?;
                (Form::scalar(ensemble, tree_limit), "it was asked for".to_owned())
            }
            KernelChoice::Auto => Form::fastest(ensemble, tree_limit),
            KernelChoice::Avx512 | KernelChoice::Avx512Bw | KernelChoice::Avx2 | KernelChoice::Neon => (
                Form::lanes(ensemble, tree_limit, kernel)?,
                "it was asked for".to_owned(),
            ),
        };
        Ok(Self { form, why })
    }

    fn kernel(&self) -> KernelChoice {
        self.form.kernel()
    }

    fn explain(&self) -> String {
        let plan = match &self.form {
            Form::Reference { .. } => "the literal walk: exact and slow".to_owned(),
            Form::Scalar(plan) => plan.explain(),
            Form::Lanes(_, plan) => plan.explain(),
        };
        format!("kernel: {}, because {}\n{plan}", self.kernel(), self.why)
    }

    fn bytes(&self) -> usize {
        match &self.form {
            Form::Reference { ensemble, .. } => ensemble.bytes(),
            Form::Scalar(plan) => plan.bytes(),
            Form::Lanes(_, plan) => plan.bytes(),
        }
    }

    /// Sums a block of rows, if the kernel takes several.
    fn block(&self, rows: &[f64], width: usize, reading: Reading<'_>, block: &mut Block<T>) -> bool {
        let Form::Lanes(kernel, plan) = &self.form else {
            return false;
        };
        let count = rows.len().div_ceil(width);
        for (row, values) in rows.chunks(width).zip(block.rows.chunks_exact_mut(width)) {
            read(row, reading, values);
        }
        let margins = &mut block.margins[..count * plan.outputs()];
        kernel.rows_margins(plan, (&block.rows[..count * width], width), &mut block.lanes, margins);
        true
    }

    fn margins(
        &self,
        row: &[f64],
        reading: Reading<'_>,
        finish: &Finish,
        buffers: &mut Buffers<T>,
        margins: &mut [f64],
    ) {
        read(row, reading, &mut buffers.row);
        match &self.form {
            Form::Reference { ensemble, tree_limit } => {
                reference::margins(ensemble, *tree_limit, &buffers.row, &mut buffers.margins);
            }
            Form::Scalar(plan) => scalar::margins(plan, &buffers.row, &mut buffers.margins),
            Form::Lanes(kernel, plan) => {
                kernel.margins(plan, &buffers.row, &mut buffers.lanes, &mut buffers.margins);
            }
        }
        finish.apply(&mut buffers.margins);
        for (wide, &margin) in margins.iter_mut().zip(&buffers.margins) {
            *wide = margin.widen();
        }
    }
}

impl<T: Real> Form<T> {
    fn kernel(&self) -> KernelChoice {
        match self {
            Self::Reference { .. } => KernelChoice::Reference,
            Self::Scalar(_) => KernelChoice::Scalar,
            Self::Lanes(kernel, _) => kernel.choice(),
        }
    }

    fn scalar(ensemble: &Ensemble, tree_limit: usize) -> Self {
        Self::Scalar(Box::new(Plan::compile(ensemble, tree_limit)))
    }

    /// The first vector kernel that the CPU has, if it takes the model, or a walk.
    fn fastest(ensemble: &Ensemble, tree_limit: usize) -> (Self, String) {
        let mut lacking = String::new();
        for &choice in Vectors::CHOICES {
            match Vectors::new(choice) {
                Err(reason) => lacking += &format!("{}; ", Unsupported { kernel: choice, reason }),
                // What keeps one from serving a model keeps the others.
                Ok(kernel) => {
                    return match LanePlan::try_compile(ensemble, tree_limit, choice) {
                        Ok(plan) => Self::Lanes(kernel, Box::new(plan)).unless_small(ensemble, tree_limit, &lacking),
                        Err(unsupported) => (Self::scalar(ensemble, tree_limit), unsupported.to_string()),
                    };
                }
            }
        }
        let why = format!("{lacking}there is no other for this CPU");
        (Self::scalar(ensemble, tree_limit), why)
    }

    /// Ranking a row's columns costs the same for one tree as for a thousand: small models are walked.
    fn unless_small(self, ensemble: &Ensemble, tree_limit: usize, lacking: &str) -> (Self, String) {
        let lanes_ns = match &self {
            Self::Lanes(kernel, plan) if kernel.choice() == KernelChoice::Avx512 => plan.cost_ns(),
            Self::Lanes(_, plan) => NARROW_COST * plan.cost_ns(),
            Self::Reference { .. } | Self::Scalar(_) => usize::MAX,
        };
        if tree_limit <= SMALL_TREES {
            let walk = Plan::compile(ensemble, tree_limit);
            let walk_ns = walk.cost_ns();
            if walk_ns <= lanes_ns {
                let kernel = self.kernel();
                let why =
                    format!("{lacking}a walk of so few trees costs about {walk_ns} ns and {kernel} {lanes_ns} ns");
                return (Self::Scalar(Box::new(walk)), why);
            }
        }
        let why = format!("{lacking}the CPU has its instructions and they serve the model");
        (self, why)
    }

    fn lanes(ensemble: &Ensemble, tree_limit: usize, kernel: KernelChoice) -> Result<Self, Unsupported> {
        let vectors = Vectors::new(kernel).map_err(|reason| Unsupported { kernel, reason })?;
        let plan = LanePlan::try_compile(ensemble, tree_limit, kernel)?;
        Ok(Self::Lanes(vectors, Box::new(plan)))
    }
}

/// How a row's values are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'m> {
    pub(crate) input: Input,
    /// Numbers that count as missing.
    pub(crate) markers: Option<&'m MissingMarkers>,
}

/// Makes those values missing that count as missing. Out of line: most models have none.
#[inline(never)]
fn forget<T: Real>(row: &[f64], markers: &MissingMarkers, values: &mut [T]) {
    for (column, (place, &value)) in values.iter_mut().zip(row).enumerate() {
        if markers.is_missing(column, value) {
            *place = T::NAN;
        }
    }
}

/// A row's values as [`Reading`] says, NaN beyond its end.
pub(crate) fn read<T: Real>(row: &[f64], reading: Reading<'_>, values: &mut [T]) {
    let pairs = values.iter_mut().zip(row);
    match reading.input {
        Input::Rounded => pairs.for_each(|(place, &value)| *place = T::narrow(value)),
        Input::Flushed => pairs.for_each(|(place, &value)| {
            *place = if value.abs() <= FLUSHED_TO_ZERO {
                T::ZERO
            } else {
                T::narrow(value)
            };
        }),
        Input::Narrowed => pairs.for_each(|(place, &value)| *place = T::narrow(f32::narrow(value).widen())),
        Input::NarrowedFlushed => pairs.for_each(|(place, &value)| {
            let value = f32::narrow(value).widen();
            *place = if value.abs() <= FLUSHED_TO_ZERO {
                T::ZERO
            } else {
                T::narrow(value)
            };
        }),
    }
    if let Some(markers) = reading.markers {
        forget(row, markers, values);
    }
    for place in values.iter_mut().skip(row.len()) {
        *place = T::NAN;
    }
}

#[cfg(test)]
mod tests;
