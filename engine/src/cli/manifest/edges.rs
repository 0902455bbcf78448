//! Edges that cut predictions into five bands of equal size.

/// Four edges, each a prediction that occurs, so that as near to a fifth of the predictions as can be lies in each
/// band. A model of few different predictions may have fifths that begin at the same one: then the nearest others are
/// taken. None for fewer than five different ones. NaN, which no valid model gives, does not count.
pub(super) fn quintiles(predictions: &[f64]) -> Option<[f64; 4]> {
    let mut sorted: Vec<f64> = predictions.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let total = sorted.len();
    // Each different prediction but the lowest may be an edge; below it lie as many as its place says.
    let is_new = |&place: &usize| sorted[place - 1] < sorted[place];
    let places: Vec<usize> = (1..total).filter(is_new).collect();
    if places.len() < 4 {
        return None;
    }
    let mut edges = [0.0; 4];
    let mut first = 0;
    for (index, edge) in edges.iter_mut().enumerate() {
        let wanted = total * (index + 1) / 5;
        // The edges that still follow need a place each.
        let last = places.len() - (3 - index);
        let range = &places[first..last];
        let after = range.partition_point(|&place| place < wanted);
        let is_before_nearer = |&(before, at): &(usize, usize)| wanted - before <= at - wanted;
        let chosen = match (after.checked_sub(1), range.get(after)) {
            (Some(before), Some(&at)) if is_before_nearer(&(range[before], at)) => before,
            (Some(before), None) => before,
            _ => after,
        };
        *edge = sorted[range[chosen]];
        first += chosen + 1;
    }
    Some(edges)
}

/// How many predictions lie in each band.
pub(super) fn counts(edges: &[f64; 4], predictions: &[f64]) -> [usize; 5] {
    let mut counts = [0; 5];
    for prediction in predictions {
        counts[edges.iter().filter(|edge| **edge <= *prediction).count()] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use quintile_model::Bands;

    use super::*;

    #[test]
    fn bands_have_the_same_size_where_predictions_differ() {
        let predictions: Vec<f64> = (0..1000).rev().map(f64::from).collect();
        let edges = quintiles(&predictions).unwrap();
        assert_eq!(
            edges.map(f64::to_bits),
            [200.0f64, 400.0, 600.0, 800.0].map(f64::to_bits)
        );
        assert_eq!(counts(&edges, &predictions), [200; 5]);
        let few = [0.5, 0.1, 0.4, 0.2, 0.3];
        assert_eq!(counts(&quintiles(&few).unwrap(), &few), [1; 5]);
    }

    #[test]
    fn many_equal_predictions_still_give_four_edges() {
        // Nine tenths are one value: all fifths begin there.
        for common in [0.0, 0.25, 0.5, 1.0] {
            let mut predictions = vec![common; 900];
            predictions.extend((0..100).map(|index| f64::from(index) / 100.0));
            let edges = quintiles(&predictions).unwrap();
            Bands::try_new(edges).unwrap();
            assert_eq!(counts(&edges, &predictions).iter().sum::<usize>(), 1000);
        }
        let steps: Vec<f64> = (0..500).map(|index| f64::from(index % 5)).collect();
        assert_eq!(counts(&quintiles(&steps).unwrap(), &steps), [100; 5]);
    }

    #[test]
    fn fewer_than_five_different_predictions_have_no_edges() {
        assert_eq!(quintiles(&[]), None);
        assert_eq!(quintiles(&[0.5; 100]), None);
        assert_eq!(quintiles(&[0.1, 0.2, 0.3, 0.4, f64::NAN, f64::INFINITY]), None);
    }

    #[test]
    fn any_predictions_give_increasing_edges_or_none() {
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..2000 {
            let mut next = |below: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % below
            };
            let (count, different) = (next(60), 1 + next(12));
            let predictions: Vec<f64> = (0..count).map(|_| next(different) as f64).collect();
            let mut values = predictions.clone();
            values.sort_unstable_by(f64::total_cmp);
            values.dedup_by(|one, other| one.total_cmp(other).is_eq());
            match quintiles(&predictions) {
                Some(edges) => {
                    Bands::try_new(edges).unwrap();
                    assert!(
                        counts(&edges, &predictions).iter().all(|&count| count > 0),
                        "{predictions:?}"
                    );
                }
                None => assert!(values.len() < 5, "{predictions:?}"),
            }
        }
    }
}
