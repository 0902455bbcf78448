//! What the planner says of a model: which kernel takes it, and which of its properties sends it to a slower one.

#![allow(
    clippy::unwrap_used,
    reason = "the lints spare test functions but not what they call"
)]

#[path = "support/random.rs"]
#[allow(dead_code, reason = "these tests need ensembles, not their rows")]
mod random;

use quintile_model::kernel::Vectors;
use quintile_model::{BuildError, Ensemble, Identity, KernelChoice, Manifest, Model, Options, Precision, load};
use random::{LeafOf, Recipe};

fn build(ensemble: Ensemble, kernel: KernelChoice) -> Result<Model, BuildError> {
    let identity = Identity {
        name: "planned".into(),
        version: "1".into(),
    };
    let options = Options {
        kernel,
        ..Options::default()
    };
    Model::build(ensemble, Manifest::empty(), identity, options)
}

/// Kernel and explanation of `auto`.
fn planned(recipe: Recipe) -> (KernelChoice, String) {
    let model = build(recipe.ensemble().ensemble, KernelChoice::Auto).unwrap();
    (model.kernel(), model.explain())
}

/// The kernel that this CPU's widest vectors serve; none of them on a CPU without.
fn fastest() -> Option<KernelChoice> {
    Vectors::all().next().map(Vectors::choice)
}

#[test]
fn lanes_serve_every_property_of_trees() {
    let Some(fastest) = fastest() else {
        println!("SKIPPED: this CPU has vectors that no kernel is written for");
        return;
    };
    let plain = Recipe {
        features: 40,
        ..Recipe::PLAIN
    };
    let recipes = [
        ("plain", plain),
        (
            "doubles",
            Recipe {
                precision: Precision::F64,
                ..plain
            },
        ),
        (
            "more than 255 thresholds",
            Recipe {
                thresholds: 700,
                features: 20,
                trees: 400,
                ..plain
            },
        ),
        ("more than 128 lanes", Recipe { features: 120, ..plain }),
        (
            "unbalanced",
            Recipe {
                depth: 40,
                leaves: 200,
                ..plain
            },
        ),
        (
            "more than 256 leaves",
            Recipe {
                depth: 20,
                leaves: 700,
                ..plain
            },
        ),
        ("several outputs", Recipe { outputs: 3, ..plain }),
        (
            "vector leaves",
            Recipe {
                outputs: 3,
                leaf: LeafOf::Vector,
                ..plain
            },
        ),
        (
            "linear leaves",
            Recipe {
                leaf: LeafOf::Linear,
                ..plain
            },
        ),
        (
            "zero is missing",
            Recipe {
                zero_is_missing: true,
                ..plain
            },
        ),
        (
            "a few categories",
            Recipe {
                category_one_in: 200,
                ..plain
            },
        ),
    ];
    for (name, recipe) in recipes {
        let (kernel, plan) = planned(recipe);
        assert_eq!(kernel, fastest, "{name}: {plan}");
        assert!(
            plan.contains("the CPU has its instructions and they serve the model"),
            "{name}: {plan}"
        );
    }
}

#[test]
fn what_slows_lanes_down_is_said() {
    if fastest().is_none() {
        println!("SKIPPED: this CPU has vectors that no kernel is written for");
        return;
    }
    let deep = Recipe {
        depth: 20,
        leaves: 700,
        ..Recipe::PLAIN
    };
    let (_, plan) = planned(deep);
    assert!(
        plan.contains("found by a walk from where the labels end, because "),
        "{plan}"
    );
    assert!(!plan.contains("because 0 trees have more than 256 leaves"), "{plan}");
    let vectors = Recipe {
        outputs: 3,
        leaf: LeafOf::Vector,
        ..Recipe::PLAIN
    };
    let (_, plan) = planned(vectors);
    assert!(plan.contains("100 have leaves that are more than a number"), "{plan}");
}

#[test]
fn what_lanes_do_not_take_is_walked_and_says_why() {
    let wide = Recipe {
        features: 1_500,
        trees: 200,
        thresholds: 3,
        ..Recipe::PLAIN
    };
    let few = Recipe {
        trees: 2,
        ..Recipe::PLAIN
    };
    let categories = Recipe {
        category_one_in: 1,
        trees: 200,
        ..Recipe::PLAIN
    };
    let lanes = "its thresholds and category sets need more than 2,048 byte lanes";
    for (recipe, says) in [(wide, lanes), (few, "a walk of so few trees costs about ")] {
        let (kernel, plan) = planned(recipe);
        assert_eq!(kernel, KernelChoice::Scalar, "{plan}");
        if fastest().is_some() {
            assert!(plan.contains(says), "{says}: {plan}");
        }
    }
    let (kernel, plan) = planned(categories);
    if let Some(fastest) = fastest() {
        assert_eq!(kernel, fastest, "{plan}");
        assert!(plan.contains("a bit for each category node"), "{plan}");
    }
    let linear = include_bytes!("fixtures/linear-logistic.json");
    let model = build(load(linear).unwrap(), KernelChoice::Auto).unwrap();
    assert_eq!(model.kernel(), KernelChoice::Scalar);
    if fastest().is_some() {
        assert!(
            model.explain().contains("a linear model has no trees"),
            "{}",
            model.explain()
        );
    }
}

#[test]
fn a_kernel_that_is_forced_says_what_it_lacks() {
    for (_, kernel) in KernelChoice::NAMES {
        let forced = build(Recipe::PLAIN.ensemble().ensemble, kernel);
        match kernel {
            KernelChoice::Auto => assert!(forced.is_ok()),
            KernelChoice::Reference | KernelChoice::Scalar => assert_eq!(forced.unwrap().kernel(), kernel),
            _ if Vectors::new(kernel).is_ok() => assert_eq!(forced.unwrap().kernel(), kernel),
            _ => assert!(forced.unwrap_err().to_string().contains("the CPU "), "{kernel}"),
        }
    }
}

/// The figure that the layout was made for: what a row touches of it, it should find in the second-level cache.
#[test]
fn five_hundred_trees_of_depth_six_stay_below_300_kb() {
    let Some(fastest) = fastest() else {
        println!("SKIPPED: this CPU has vectors that no kernel is written for");
        return;
    };
    let recipe = Recipe {
        trees: 500,
        features: 50,
        thresholds: 255,
        ..Recipe::PLAIN
    };
    let model = build(recipe.ensemble().ensemble, fastest).unwrap();
    assert!((200_000..300_000).contains(&model.bytes()), "{} bytes", model.bytes());
}

/// One line that the test command repeats: what a green run has exercised.
#[test]
fn what_this_machine_exercises() {
    let plain = ["reference", "scalar", "lanes without vectors"].map(|name| (name.to_owned(), true));
    let vectors = Vectors::CHOICES
        .iter()
        .map(|&choice| (choice.to_string(), Vectors::new(choice).is_ok()));
    let kernels: Vec<_> = plain.into_iter().chain(vectors).collect();
    let listed = |wanted: bool| {
        let names = kernels
            .iter()
            .filter(|(_, is_there)| *is_there == wanted)
            .map(|(name, _)| name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    println!("KERNELS EXERCISED: {}", listed(true));
    println!(
        "KERNELS NOT EXERCISED, this CPU lacks their instructions: {}",
        listed(false)
    );
    assert!(listed(true).starts_with("reference, scalar"));
}
