//! Trees as parents and children, for every file format.

/// A tree, breadth first with siblings side by side; -1 for the children of a leaf.
pub(crate) struct Topology {
    pub(crate) lefts: Vec<i32>,
    pub(crate) rights: Vec<i32>,
    pub(crate) parents: Vec<i32>,
}

impl Topology {
    /// A tree in which a node splits while `splits` says so of its number and depth.
    fn grown(splits: impl Fn(usize, usize) -> bool) -> Self {
        let (mut lefts, mut rights, mut parents) = (Vec::new(), Vec::new(), vec![i32::MAX]);
        let mut depths = vec![0];
        while lefts.len() < depths.len() {
            let number = lefts.len();
            if splits(number, depths[number]) {
                let left = i32::try_from(depths.len()).expect("few nodes");
                lefts.push(left);
                rights.push(left + 1);
                parents.extend([i32::try_from(number).expect("few nodes"); 2]);
                depths.extend([depths[number] + 1; 2]);
            } else {
                lefts.push(-1);
                rights.push(-1);
            }
        }
        Self { lefts, rights, parents }
    }

    /// All nodes of all levels.
    pub(crate) fn full(depth: usize) -> Self {
        Self::grown(|_, at| at < depth)
    }

    /// Every split has a leaf and the next split.
    pub(crate) fn chain(splits: usize) -> Self {
        Self::grown(|number, at| at < splits && (number == 0 || number % 2 == 1))
    }

    pub(crate) fn len(&self) -> usize {
        self.lefts.len()
    }

    pub(crate) fn is_leaf(&self, number: usize) -> bool {
        self.lefts[number] == -1
    }
}

/// Numbers one after the other with something between.
pub(crate) fn joined<T: std::fmt::Display>(values: impl IntoIterator<Item = T>, between: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for (index, value) in values.into_iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{value}", if index > 0 { between } else { "" });
    }
    text
}

/// So many trees of one kind as fit, numbered.
pub(crate) fn repeated(tree: impl Fn(usize) -> String, most: usize, bytes_max: usize) -> (usize, String) {
    let (mut text, mut count) = (String::new(), 0);
    while count < most {
        let next = tree(count);
        if text.len() + next.len() > bytes_max {
            break;
        }
        text.push_str(&next);
        count += 1;
    }
    (count, text)
}
