//! Edges that cut numbers into bins of about as many rows each.

/// The edges of `bins` bins that hold about as many of the sorted numbers each, lowest first. A number's bin is how many
/// edges are at or below it, as with a model's bands. A number that fills more than one bin gets a bin of its own.
pub(crate) fn quantile_edges(sorted: &[f64], bins: usize) -> Vec<f64> {
    let mut edges: Vec<f64> = Vec::with_capacity(bins);
    if sorted.is_empty() {
        return edges;
    }
    for number in 1..bins {
        let edge = sorted[number * sorted.len() / bins];
        match edges.last() {
            Some(last) if *last > edge => {}
            Some(last) if *last >= edge => edges.push(edge.next_up()),
            _ => edges.push(edge),
        }
    }
    // Nothing lies above infinity.
    edges.dedup_by(|one, other| one.total_cmp(other).is_eq());
    edges
}

/// The bin of a number.
pub(crate) fn bin_of(edges: &[f64], number: f64) -> usize {
    edges.partition_point(|edge| *edge <= number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_as_many_numbers_each() {
        let numbers: Vec<f64> = (0..1000).map(f64::from).collect();
        let edges = quantile_edges(&numbers, 10);
        assert_eq!(edges.len(), 9);
        let mut counts = [0; 10];
        numbers.iter().for_each(|&number| counts[bin_of(&edges, number)] += 1);
        assert_eq!(counts, [100; 10]);
    }

    #[test]
    fn a_frequent_number_has_a_bin_of_its_own() {
        let mut numbers = vec![0.5; 600];
        numbers.extend((0..400).map(|number| 1.0 + f64::from(number)));
        let edges = quantile_edges(&numbers, 10);
        let own = bin_of(&edges, 0.5);
        assert_ne!(own, bin_of(&edges, 0.5_f64.next_down()));
        assert_ne!(own, bin_of(&edges, 0.5_f64.next_up()));
        assert!(edges.windows(2).all(|pair| pair[0] < pair[1]), "{edges:?}");
        let edges = quantile_edges(&[1.0; 7], 10);
        assert_eq!([0.9, 1.0, 1.1].map(|number| bin_of(&edges, number)), [0, 1, 2]);
        assert_eq!(bin_of(&quantile_edges(&[], 10), 3.0), 0);
    }
}
