//! The functions of a kernel in which its CPU features are switched on.

/// Implements the functions that a kernel begins with, everything below compiled for `$features`, which a value of the
/// type proves. `$four` is the kernel whose registers hold four points and fewer.
macro_rules! entry_points {
    ($kernel:ident, $lanes:literal, $features:literal, $four:expr, $four_registers:literal) => {
        impl $kernel {
            /// See [`super::DoublesKernel::listed`].
            pub(super) fn listed(self, group: &ListedGroup, lefts: &mut [u8], work: &mut [f64], sums: &mut [f64]) {
                #[target_feature(enable = $features)]
                fn compiled(
                    kernel: $kernel,
                    group: &ListedGroup,
                    lefts: &mut [u8],
                    work: &mut [f64],
                    sums: &mut [f64],
                ) {
                    match group.points {
                        4 => listed::add::<_, 4, $four_registers>($four(kernel), group, lefts, work, sums),
                        8 => listed::add::<_, 8, { 8 / $lanes }>(kernel, group, lefts, work, sums),
                        16 => listed::add::<_, 16, { 16 / $lanes }>(kernel, group, lefts, work, sums),
                        _ => listed::add::<_, 32, { 32 / $lanes }>(kernel, group, lefts, work, sums),
                    }
                }
                // SAFETY: `self` exists only where `new` has found every feature that the function is compiled for.
                unsafe { compiled(self, group, lefts, work, sums) }
            }

            /// See [`super::DoublesKernel::full`].
            pub(super) fn full(self, plan: &FullPlan, words: &[u64], work: &mut full::Work, sums: &mut [f64]) {
                #[target_feature(enable = $features)]
                fn compiled(kernel: $kernel, plan: &FullPlan, words: &[u64], work: &mut full::Work, sums: &mut [f64]) {
                    full::add(kernel, plan, words, work, sums);
                }
                // SAFETY: as above.
                unsafe { compiled(self, plan, words, work, sums) }
            }
        }
    };
}

pub(super) use entry_points;
