//! A kernel with what it evaluates, in the model's precision, and the memory that a thread lends it.

use crate::ensemble::{Ensemble, FLUSHED_TO_ZERO, Finish, Input, Precision};
use crate::kernel::real::Real;
use crate::kernel::{KernelChoice, reference, scalar};
use crate::objective::Objective;
use crate::plan::Plan;

/// What evaluates the trees.
#[derive(Debug)]
pub(super) enum Engine {
    F32(Evaluator<f32>),
    F64(Evaluator<f64>),
}

#[derive(Debug)]
pub(super) enum Evaluator<T> {
    Reference { ensemble: Box<Ensemble>, tree_limit: usize },
    Scalar(Box<Plan<T>>),
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
}

impl Scratch {
    pub(super) fn new(precision: Precision, columns: usize, margins: usize, predictions: usize) -> Self {
        let (single, double) = match precision {
            Precision::F32 => (Buffers::new(columns, margins), Buffers::default()),
            Precision::F64 => (Buffers::default(), Buffers::new(columns, margins)),
        };
        Self {
            single,
            double,
            margins: vec![0.0; margins],
            predictions: vec![0.0; predictions],
        }
    }

    /// Whether it was made for a model of this shape.
    pub(super) fn fits(&self, precision: Precision, columns: usize, margins: usize, predictions: usize) -> bool {
        let lengths = match precision {
            Precision::F32 => [self.single.row.len(), self.single.margins.len()],
            Precision::F64 => [self.double.row.len(), self.double.margins.len()],
        };
        lengths == [columns, margins] && [self.margins.len(), self.predictions.len()] == [margins, predictions]
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
    fn new(columns: usize, margins: usize) -> Self {
        Self {
            row: vec![T::NAN; columns],
            margins: vec![T::ZERO; margins],
        }
    }
}

impl Engine {
    pub(super) fn new(ensemble: Ensemble, tree_limit: usize, kernel: KernelChoice) -> Self {
        match ensemble.precision() {
            Precision::F32 => Self::F32(Evaluator::new(ensemble, tree_limit, kernel)),
            Precision::F64 => Self::F64(Evaluator::new(ensemble, tree_limit, kernel)),
        }
    }

    /// Leaves the margins and predictions of a row in a scratch that fits.
    pub(super) fn evaluate(
        &self,
        row: &[f64],
        input: Input,
        finish: &Finish,
        objective: &Objective,
        scratch: &mut Scratch,
    ) {
        match self {
            Self::F32(evaluator) => {
                evaluator.margins(row, input, finish, &mut scratch.single, &mut scratch.margins);
                objective.predict_f32(&scratch.single.margins, &mut scratch.predictions);
            }
            Self::F64(evaluator) => {
                evaluator.margins(row, input, finish, &mut scratch.double, &mut scratch.margins);
                objective.predict_f64(&scratch.double.margins, &mut scratch.predictions);
            }
        }
    }

    /// The kernel in use, never [`KernelChoice::Auto`].
    pub(super) fn kernel(&self) -> KernelChoice {
        match self {
            Self::F32(Evaluator::Reference { .. }) | Self::F64(Evaluator::Reference { .. }) => KernelChoice::Reference,
            Self::F32(Evaluator::Scalar(_)) | Self::F64(Evaluator::Scalar(_)) => KernelChoice::Scalar,
        }
    }

    pub(super) fn explain(&self) -> String {
        let plan = match self {
            Self::F32(Evaluator::Scalar(plan)) => plan.explain(),
            Self::F64(Evaluator::Scalar(plan)) => plan.explain(),
            Self::F32(Evaluator::Reference { .. }) | Self::F64(Evaluator::Reference { .. }) => {
                return "kernel: reference, the literal walk: exact and slow, because it was asked for".into();
            }
        };
        format!("kernel: scalar, which supports every model\n{plan}")
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::F32(Evaluator::Reference { ensemble, .. }) | Self::F64(Evaluator::Reference { ensemble, .. }) => {
                ensemble.bytes()
            }
            Self::F32(Evaluator::Scalar(plan)) => plan.bytes(),
            Self::F64(Evaluator::Scalar(plan)) => plan.bytes(),
        }
    }
}

impl<T: Real> Evaluator<T> {
    fn new(ensemble: Ensemble, tree_limit: usize, kernel: KernelChoice) -> Self {
        match kernel {
            KernelChoice::Reference => Self::Reference {
                ensemble: Box::new(ensemble),
                tree_limit,
            },
            KernelChoice::Scalar | KernelChoice::Auto => Self::Scalar(Box::new(Plan::compile(&ensemble, tree_limit))),
        }
    }

    fn margins(&self, row: &[f64], input: Input, finish: &Finish, buffers: &mut Buffers<T>, margins: &mut [f64]) {
        read(row, input, &mut buffers.row);
        match self {
            Self::Reference { ensemble, tree_limit } => {
                reference::margins(ensemble, *tree_limit, &buffers.row, &mut buffers.margins);
            }
            Self::Scalar(plan) => scalar::margins(plan, &buffers.row, &mut buffers.margins),
        }
        finish.apply(&mut buffers.margins);
        for (wide, &margin) in margins.iter_mut().zip(&buffers.margins) {
            *wide = margin.widen();
        }
    }
}

/// A row's values as [`Input`] says, NaN beyond its end.
fn read<T: Real>(row: &[f64], input: Input, values: &mut [T]) {
    let pairs = values.iter_mut().zip(row);
    match input {
        Input::Rounded => pairs.for_each(|(place, &value)| *place = T::narrow(value)),
        Input::Flushed => pairs.for_each(|(place, &value)| {
            *place = if value.abs() <= FLUSHED_TO_ZERO {
                T::ZERO
            } else {
                T::narrow(value)
            };
        }),
        Input::Narrowed => pairs.for_each(|(place, &value)| *place = T::narrow(f32::narrow(value).widen())),
    }
    for place in values.iter_mut().skip(row.len()) {
        *place = T::NAN;
    }
}
