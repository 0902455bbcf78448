//! Recorded systems: `engine/tests/topology/*.tree` holds files as text, `== /path` above each.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn recorded(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/topology").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A tree's files in a folder of their own, gone with the value.
struct Unpacked(PathBuf);

impl Unpacked {
    fn new(tree: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("quintile-topology-{}-{number}", std::process::id()));
        for part in tree.split("== ").skip(1) {
            let (path, text) = part.split_once('\n').expect("a path, then its text");
            let path = root.join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            std::fs::write(path, text).expect("file");
        }
        Self(root)
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn quotas_of_recorded_systems() {
    #[rustfmt::skip]
    let cases = [
        ("docker-v1", Some((0.5, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us")), 0),
        ("systemd-v1", Some((1.5, "/sys/fs/cgroup/cpu,cpuacct/user.slice/user-1000.slice/cpu.cfs_quota_us")), 0),
        ("systemd-v2", Some((2.0, "/sys/fs/cgroup/system.slice/quintile.service/cpu.max")), 0),
        ("nested-v2", Some((1.5, "/sys/fs/cgroup/kubepods.slice/cpu.max")), 0),
        ("docker-v2", Some((0.25, "/sys/fs/cgroup/cpu.max")), 0),
        ("unlimited-v2", None, 0),
        ("hybrid", Some((2.5, "/sys/fs/cgroup/cpu/system.slice/quintile.service/cpu.cfs_quota_us")), 0),
        ("firecracker-v1", None, 0),
        ("fargate-v1", None, 0),
        ("unmounted", None, 0),
        ("outside", Some((3.0, "/sys/fs/cgroup/cpu.max")), 0),
        ("odd-names", Some((1.75, "/mnt/c g/a b/cpu.max")), 0),
        ("malformed", None, 4),
    ];
    for (name, expected, warnings) in cases {
        let tree = Unpacked::new(&recorded(&format!("{name}.tree")));
        let found = cgroup::quota(&tree.0);
        let least = found.least.as_ref().map(|quota| (quota.cpus, quota.file.as_str()));
        assert_eq!(least, expected, "{name}");
        assert_eq!(found.warnings.len(), warnings, "{name}: {:?}", found.warnings);
    }
    assert_eq!(cgroup::quota(Path::new("/nowhere/at/all")), cgroup::Found::default());
}

#[test]
fn what_cannot_be_read_is_a_warning_that_names_the_file() {
    let tree = Unpacked::new("== /proc/self/cgroup/folder\nx\n== /proc/self/mountinfo\nx\n");
    let found = cgroup::quota(&tree.0);
    assert_eq!(found.least, None);
    assert!(
        found.warnings[0].starts_with("/proc/self/cgroup cannot be read: "),
        "{:?}",
        found.warnings
    );
    let malformed = Unpacked::new(&recorded("malformed.tree"));
    let warnings = cgroup::quota(&malformed.0).warnings;
    assert_eq!(
        warnings,
        [
            r#"/sys/fs/cgroup/leaf/cpu.max holds no quota: "fifty" of a period of "100000""#,
            r#"/sys/fs/cgroup/cpu.max holds no quota: "50000 100000 1""#,
            "/sys/fs/v1/v1/cpu.cfs_period_us is absent beside a quota",
            r#"/sys/fs/v1/cpu.cfs_quota_us holds no quota: "0" of a period of "100000""#,
        ]
    );
}

fn inputs(affinity: usize, quota: Option<f64>, task_cpus: Option<f64>) -> Inputs {
    Inputs {
        affinity: (0..affinity).map(|id| Cpu { id, core: id }).collect(),
        quota: quota.map(|cpus| Quota {
            cpus,
            file: "/cpu.max".into(),
        }),
        task_cpus,
        ..Inputs::default()
    }
}

#[test]
fn shards_are_the_whole_cpus_of_the_least_limit() {
    #[rustfmt::skip]
    let cases = [
        // affinity, quota, ECS task, --cpus, --shards; CPUs, shards
        (8, None, None, None, None, 8.0, 8),
        (8, Some(2.5), None, None, None, 2.5, 2),
        (8, Some(0.5), None, None, None, 0.5, 1),
        (1, Some(2.0), None, None, None, 1.0, 1), // affinity below the quota
        (2, None, Some(0.25), None, None, 0.25, 1),
        (2, None, Some(0.5), None, None, 0.5, 1),
        (2, None, Some(2.0), None, None, 2.0, 2),
        (16, Some(4.0), Some(8.0), None, None, 4.0, 4),
        (16, Some(4.0), Some(8.0), Some(3.9), None, 3.9, 3),
        (4, None, None, Some(64.0), None, 4.0, 4), // at most what the machine has
        (4, None, None, None, Some(9), 4.0, 9),
        (4, Some(0.1), None, None, Some(2), 0.1, 2),
        (1000, None, None, None, None, 1000.0, SHARDS_MAX),
        (4, None, None, None, Some(usize::MAX), 4.0, SHARDS_MAX),
        (0, None, None, None, None, 1.0, 1), // affinity unknown
        (0, Some(3.0), None, None, None, 3.0, 3),
        (4, Some(f64::NAN), Some(-1.0), Some(0.0), None, 4.0, 4),
    ];
    for (affinity, quota, task, cpus, shards, expected_cpus, expected_shards) in cases {
        let topology = decide(Inputs {
            cpus,
            shards,
            ..inputs(affinity, quota, task)
        });
        let what = format!("{topology}");
        assert_eq!(
            (topology.cpus.to_bits(), topology.shards),
            (f64::to_bits(expected_cpus), expected_shards),
            "{what}"
        );
        assert_eq!(
            topology.pins.map_or(topology.shards, |pins| pins.len()),
            topology.shards,
            "{what}"
        );
    }
}

#[test]
fn shards_are_pinned_where_they_and_side_have_a_cpu_each() {
    let pins = |affinity, quota, task, cpus, shards| {
        decide(Inputs {
            cpus,
            shards,
            ..inputs(affinity, quota, task)
        })
        .pins
    };
    assert_eq!(pins(4, None, None, None, None), None); // four shards on four CPUs leave none for side
    assert_eq!(pins(4, None, None, None, Some(3)), Some(vec![1, 2, 3]));
    assert_eq!(pins(4, None, None, Some(2.5), None), Some(vec![1, 2]));
    assert_eq!(pins(4, Some(4.0), None, None, Some(2)), Some(vec![1, 2])); // a quota of all there is binds nothing
    assert_eq!(pins(4, Some(2.0), None, None, None), None);
    assert_eq!(pins(4, Some(2.5), None, None, None), None);
    assert_eq!(pins(4, None, Some(1.0), None, None), None);
    assert_eq!(pins(0, None, None, None, None), None);
}

#[test]
fn the_line_names_every_input_and_the_result() {
    let topology = decide(Inputs {
        cpus: Some(6.0),
        shards: Some(3),
        ..inputs(8, None, None)
    });
    assert_eq!(
        topology.to_string(),
        "shards 3, CPUs 6; from affinity 8, cgroup quota none, ECS task limit none, --cpus 6, --shards 3; pinned to CPUs [1, 2, 3]: \
         every shard has a CPU and one is left for the side thread"
    );
    assert_eq!(
        decide(inputs(2, Some(0.5), Some(0.25))).to_string(),
        "shards 1, CPUs 0.25; from affinity 2, cgroup quota 0.5 (/cpu.max), ECS task limit 0.25, --cpus none, --shards none; not \
         pinned: a quota of 0.5 CPUs on 2 means that they are shared with neighbours"
    );
}

#[test]
fn this_machine_has_a_topology() {
    let topology = Topology::detect(&CpuSettings::default());
    assert!(
        topology.cpus > 0.0 && (1..=SHARDS_MAX).contains(&topology.shards),
        "{topology}"
    );
    assert!(
        !topology.inputs.affinity.is_empty() && topology.inputs.warnings.is_empty(),
        "{topology:?}"
    );
}

#[test]
fn metadata_that_cannot_be_had_is_a_warning_and_no_limit() {
    let settings = CpuSettings {
        metadata_uri: Some("http://127.0.0.1:1/v4/x"),
        ..CpuSettings::default()
    };
    let topology = Topology::detect(&settings);
    assert_eq!(topology.inputs.task_cpus, None);
    let warnings = topology.inputs.warnings;
    assert!(
        warnings[0].starts_with("ECS task metadata at \"http://127.0.0.1:1/v4/x\": connect: "),
        "{warnings:?}"
    );
}

#[test]
fn memory_limits() {
    const V2: &str = "== /proc/self/cgroup\n0::/a/b\n== /proc/self/mountinfo\n\
                      1 0 0:29 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
    const V1: &str = "== /proc/self/cgroup\n4:memory:/docker/x\n3:cpu:/y\n== /proc/self/mountinfo\n\
                      1 0 0:35 /docker/x /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    const MEMINFO: &str = "== /proc/meminfo\nMemTotal:        1048576 kB\n";
    let leaf_and_parent =
        format!("{V2}== /sys/fs/cgroup/a/b/memory.max\nmax\n== /sys/fs/cgroup/a/memory.max\n536870912\n{MEMINFO}");
    let unlimited_v1 = format!("{V1}== /sys/fs/cgroup/memory/memory.limit_in_bytes\n9223372036854771712\n{MEMINFO}");
    let v1 = format!("{V1}== /sys/fs/cgroup/memory/memory.limit_in_bytes\n134217728\n{MEMINFO}");
    let broken = format!("{V2}== /sys/fs/cgroup/a/b/memory.max\nlots\n{MEMINFO}");
    let machine = (1 << 30, "memory of the machine");
    #[rustfmt::skip]
    let cases = [
        (leaf_and_parent.as_str(), None, Some((512 << 20, "/sys/fs/cgroup/a/memory.max")), 0),
        (&leaf_and_parent, Some(256 << 20), Some((256 << 20, "ECS task limit")), 0),
        (&unlimited_v1, None, Some(machine), 0),
        (&v1, None, Some((128 << 20, "/sys/fs/cgroup/memory/memory.limit_in_bytes")), 0),
        (&broken, None, Some(machine), 1),
        ("", None, None, 0),
    ];
    for (tree, task, expected, warned) in cases {
        let root = Unpacked::new(tree);
        let mut warnings = Vec::new();
        let found = memory::limit(&root.0, task, &mut warnings);
        let found = found.as_ref().map(|limit| (limit.bytes, limit.source.as_str()));
        assert_eq!((found, warnings.len()), (expected, warned), "{tree}");
    }
}
