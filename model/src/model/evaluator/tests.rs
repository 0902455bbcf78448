//! What `auto` takes on a CPU that has AVX2 and no AVX-512, which the machine at hand may not be.

use super::*;
use crate::load;

#[test]
fn avx2_serves_what_is_not_small_and_says_why() {
    let file = include_bytes!("../../../tests/fixtures/best-iteration.json");
    let ensemble = load(file).expect("the fixture loads");
    let Ok(lanes) = Form::<f32>::lanes(&ensemble, usize::MAX, KernelChoice::Avx2) else {
        assert!(Vectors::new(KernelChoice::Avx2).is_err(), "the fixture fits lanes");
        return;
    };
    let (form, why) = lanes.unless_small(&ensemble, SMALL_TREES + 1, "no AVX-512; ");
    assert_eq!(form.kernel(), KernelChoice::Avx2);
    assert_eq!(why, "no AVX-512; the CPU has its instructions and they serve the model");
    let (form, why) = form.unless_small(&ensemble, SMALL_TREES, "no AVX-512; ");
    assert_eq!(form.kernel(), KernelChoice::Scalar);
    assert!(
        why.starts_with("no AVX-512; a walk of so few trees costs about"),
        "{why}"
    );
    assert!(why.contains("and avx2"), "{why}");
}
