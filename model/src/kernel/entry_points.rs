//! The entry points of a vector kernel: the functions for which its CPU features are enabled. The large parts, the
//! stages on lines, are a function for each count of lanes, shared by both kinds of number and all uses.

/// Implements the kernel's face. `$parts` of its registers make a line, `$rows` rows share a step's loads, and
/// everything below is compiled for `$features`, which a value of the type proves.
macro_rules! entry_points {
    ($kernel:ident, $parts:literal, $rows:literal, $features:literal) => {
        impl $kernel {
            /// Sums a plan's trees for one row into `margins`, which it first sets to the base margins.
            ///
            /// `row` has at least one value and one for each column, as [`crate::ensemble::Input`] leaves it, NaN for
            /// missing; `scratch` was made for the plan.
            pub fn margins<T: Real>(self, plan: &LanePlan<T>, row: &[T], scratch: &mut LaneScratch, margins: &mut [T]) {
                #[target_feature(enable = $features)]
                fn compiled<T: Real>(
                    kernel: $kernel,
                    plan: &LanePlan<T>,
                    row: &[T],
                    scratch: &mut LaneScratch,
                    margins: &mut [T],
                ) {
                    vector::row_margins::<_, T, $parts>(kernel, plan, row, scratch, margins);
                }
                // SAFETY: `self` exists only where `new` has found every feature that the function is compiled for.
                unsafe { compiled(self, plan, row, scratch, margins) }
            }

            /// Does the same for several rows, `width` values each; `block` was made for the plan and for as many of
            /// them.
            pub fn rows_margins<T: Real>(
                self,
                plan: &LanePlan<T>,
                rows: (&[T], usize),
                block: &mut LaneBlock,
                margins: &mut [T],
            ) {
                #[target_feature(enable = $features)]
                fn compiled<T: Real>(
                    kernel: $kernel,
                    plan: &LanePlan<T>,
                    rows: (&[T], usize),
                    block: &mut LaneBlock,
                    margins: &mut [T],
                ) {
                    vector::rows_margins::<_, T, $parts>(kernel, plan, rows, block, margins);
                }
                // SAFETY: as above.
                unsafe { compiled(self, plan, rows, block, margins) }
            }

            /// Decides nodes for one row, whatever path it takes: a word for each step, the bit of each tree whose node
            /// sends the row left.
            pub(crate) fn goes_left<T: Real>(
                self,
                plan: &LanePlan<T>,
                row: &[T],
                scratch: &mut LaneScratch,
                lines: &[Line],
                words: &mut [u64],
            ) {
                #[target_feature(enable = $features)]
                fn compiled<T: Real>(
                    kernel: $kernel,
                    plan: &LanePlan<T>,
                    row: &[T],
                    scratch: &mut LaneScratch,
                    lines: &[Line],
                    words: &mut [u64],
                ) {
                    vector::outcomes::goes_left::<_, T, $parts>(kernel, plan, row, scratch, lines, words);
                }
                // SAFETY: as above.
                unsafe { compiled(self, plan, row, scratch, lines, words) }
            }

            /// Ranks a row: the first stage, for the benches.
            pub fn rank<T: Real>(self, plan: &LanePlan<T>, row: &[T], scratch: &mut LaneScratch) {
                #[target_feature(enable = $features)]
                fn compiled<T: Real>(kernel: $kernel, plan: &LanePlan<T>, row: &[T], scratch: &mut LaneScratch) {
                    vector::rank::<_, T, $parts>(kernel, plan, row, scratch, true);
                }
                // SAFETY: as above.
                unsafe { compiled(self, plan, row, scratch) }
            }

            /// Decides all trees for the row that was ranked: the second stage, for the benches.
            pub fn label<T: Real>(self, plan: &LanePlan<T>, scratch: &mut LaneScratch) {
                #[target_feature(enable = $features)]
                fn compiled<T: Real>(kernel: $kernel, plan: &LanePlan<T>, scratch: &mut LaneScratch) {
                    vector::label::<_, T, $parts>(kernel, plan, scratch);
                }
                // SAFETY: as above.
                unsafe { compiled(self, plan, scratch) }
            }
        }

        impl Stages<$parts> for $kernel {
            fn full<T: Real, const LANES: usize>(
                self,
                depth_and_asked: (usize, bool),
                lines: &[Line],
                tables: &<Self as Isa<$parts>>::Tables<'_>,
                labels: &mut [u8],
                pending: &mut Pending<'_, T>,
            ) {
                #[target_feature(enable = $features)]
                fn compiled<T: Real, const LANES: usize>(
                    kernel: $kernel,
                    depth_and_asked: (usize, bool),
                    lines: &[Line],
                    tables: &<$kernel as Isa<$parts>>::Tables<'_>,
                    labels: &mut [u8],
                    pending: &mut Pending<'_, T>,
                ) {
                    vector::full::label::<_, T, $parts, LANES>(kernel, depth_and_asked, lines, tables, labels, pending);
                }
                // SAFETY: as above.
                unsafe { compiled::<T, LANES>(self, depth_and_asked, lines, tables, labels, pending) }
            }

            fn listed<T: Real, const LANES: usize, const CHUNKS: usize, const BITS: bool>(
                self,
                steps_and_words: (usize, &[u64]),
                lines: &[Line],
                tables: &<Self as Isa<$parts>>::Tables<'_>,
                labels: &mut [u8],
                pending: &mut Pending<'_, T>,
            ) {
                #[target_feature(enable = $features)]
                fn compiled<T: Real, const LANES: usize, const CHUNKS: usize, const BITS: bool>(
                    kernel: $kernel,
                    steps_and_words: (usize, &[u64]),
                    lines: &[Line],
                    tables: &<$kernel as Isa<$parts>>::Tables<'_>,
                    labels: &mut [u8],
                    pending: &mut Pending<'_, T>,
                ) {
                    vector::listed::label::<_, T, $parts, LANES, CHUNKS, BITS>(
                        kernel,
                        steps_and_words,
                        lines,
                        tables,
                        labels,
                        pending,
                    );
                }
                // SAFETY: as above.
                unsafe { compiled::<T, LANES, CHUNKS, BITS>(self, steps_and_words, lines, tables, labels, pending) }
            }

            fn listed_rows<const LANES: usize, const BITS: bool>(
                self,
                pack_and_chunk: (&Pack, usize),
                lines: &[Line],
                lanes: (&[u8], usize, usize),
                words: (&[u64], usize),
                labels: &mut [u8],
            ) {
                #[target_feature(enable = $features)]
                fn compiled<const LANES: usize, const BITS: bool>(
                    kernel: $kernel,
                    pack_and_chunk: (&Pack, usize),
                    lines: &[Line],
                    lanes: (&[u8], usize, usize),
                    words: (&[u64], usize),
                    labels: &mut [u8],
                ) {
                    let rows = (lanes, words);
                    vector::listed::label_rows::<_, $parts, LANES, BITS, $rows>(
                        kernel,
                        pack_and_chunk,
                        lines,
                        rows,
                        labels,
                    );
                }
                // SAFETY: as above.
                unsafe { compiled::<LANES, BITS>(self, pack_and_chunk, lines, lanes, words, labels) }
            }
        }
    };
}

pub(super) use entry_points;
