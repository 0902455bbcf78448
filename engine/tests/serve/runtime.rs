//! Where io_uring is denied or starved, `auto` serves on epoll and says why in one line, `glommio` refuses and says
//! why.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::harness::Launch;
use crate::on_both;
use crate::score::lead;

/// Makes the three io_uring system calls answer `errno`, as a container's seccomp profile does.
#[expect(unsafe_code, reason = "a seccomp filter is installed by raw system calls")]
fn deny_io_uring(errno: i32) -> io::Result<()> {
    // Operations of classic BPF, from <linux/bpf_common.h>: load a word, jump if equal, return a constant.
    const LOAD: u16 = 0x20;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let deny = libc::SECCOMP_RET_ERRNO | u32::try_from(errno).unwrap_or(1);
    // The number of a system call is the first word of `seccomp_data`; io_uring's are 425 to 427 everywhere.
    let mut filter = [
        op(LOAD, 0, 0, 0),
        op(JUMP_EQUAL, 2, 0, 425),
        op(JUMP_EQUAL, 1, 0, 426),
        op(JUMP_EQUAL, 0, 1, 427),
        op(RETURN, 0, 0, deny),
        op(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: 6,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: both calls take what their manual pages say; the program outlives the second.
    let answer = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn starve_locked_memory() -> io::Result<()> {
    Ok(setrlimit(
        Resource::Memlock,
        Rlimit {
            current: Some(64 << 10),
            maximum: Some(64 << 10),
        },
    )?)
}

fn prepared(runtime: &str, prepare: fn() -> io::Result<()>) -> Launch {
    Launch::new(runtime).no_sink().shards(2).before_exec(prepare)
}

fn falls_back_or_refuses(prepare: fn() -> io::Result<()>, reason: &str) {
    let mut server = prepared("auto", prepare).start();
    assert_eq!(server.connect().post("/score", &lead(1)).status, 200);
    let log = server.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(reason)).collect();
    assert_eq!(lines.len(), 1, "one line says why: {log}");
    assert!(lines[0].contains("epoll"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    server.stop();

    let (code, log) = prepared("glommio", prepare).refused();
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains(reason) && log.contains("--runtime epoll"), "{log}");
    assert!(!log.contains("panicked"), "{log}");

    let mut server = prepared("epoll", prepare).start();
    assert_eq!(server.connect().post("/score", &lead(1)).status, 200);
    server.stop();
}

#[test]
fn denied_with_eperm() {
    falls_back_or_refuses(|| deny_io_uring(libc::EPERM), "io_uring_setup answers");
}

#[test]
fn denied_with_enosys() {
    falls_back_or_refuses(|| deny_io_uring(libc::ENOSYS), "io_uring_setup answers");
}

#[test]
fn short_of_locked_memory() {
    if crate::harness::io_uring_is_usable() {
        falls_back_or_refuses(starve_locked_memory, "locked memory");
    }
}

fn an_address_in_use_is_an_error(runtime: &str) {
    let server = Launch::new("epoll").no_sink().start();
    let address = format!("127.0.0.1:{}", server.port);
    let (code, log) = Launch::new(runtime).no_sink().set("SERVER__LISTEN", &address).refused();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(&address) && log.to_lowercase().contains("in use"), "{log}");
    assert_eq!(server.connect().get("/healthz").status, 200);
}

fn spins_after_work_and_then_sleeps(runtime: &str) {
    let server = Launch::new(runtime).no_sink().set("SERVER__SPIN_US", "100000").start();
    let pause = std::time::Duration::from_millis(500);
    let ticks = |server: &crate::harness::Server| {
        let before = server.cpu_ticks();
        std::thread::sleep(pause);
        server.cpu_ticks() - before
    };
    let mut connection = server.connect();
    // Each request keeps it awake for a tenth of a second: ten ticks, unless other programs want the CPU.
    let began = std::time::Instant::now();
    let mut spent = 0;
    while spent < 20 {
        assert!(began.elapsed() < crate::harness::PATIENCE, "{spent} ticks");
        let before = server.cpu_ticks();
        assert_eq!(connection.post("/score", &lead(1)).status, 200);
        std::thread::sleep(std::time::Duration::from_millis(110));
        spent += server.cpu_ticks() - before;
    }
    let quiet = (0..20).map(|_| ticks(&server)).min().unwrap_or(u64::MAX);
    assert!(quiet <= 5, "{quiet} ticks of 50 without a request");
}

on_both!(spins_after_work_and_then_sleeps, an_address_in_use_is_an_error);
