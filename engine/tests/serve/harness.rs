//! A server process: started with flags, ready when [`Server::start`] returns, killed when dropped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Connection;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How to start a server.
pub(crate) struct Launch {
    command: Command,
    folder: PathBuf,
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    folder: PathBuf,
    log: Arc<Mutex<Vec<String>>>,
}

impl Launch {
    pub(crate) fn new(runtime: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("the target directory can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_quintile"));
        command.args(["serve", "--runtime", runtime]);
        command.env("QUINTILE_LOG__FORMAT", "json");
        command.env("QUINTILE_SERVER__LISTEN", "127.0.0.1:0");
        command.env("QUINTILE_SERVER__ADMIN", "none");
        command.arg("--data-dir").arg(folder.join("data"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Self { command, folder }.shards(1)
    }

    pub(crate) fn shards(mut self, count: usize) -> Self {
        self.command.env("QUINTILE_SERVER__SHARDS", count.to_string());
        self
    }

    pub(crate) fn no_sink(self) -> Self {
        self.set("RECORDS__SINKS", "none")
    }

    /// Sets `QUINTILE_<key>`.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.command.env(format!("QUINTILE_{key}"), value);
        self
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    /// Runs `prepare` in the new process before the server starts.
    #[expect(
        unsafe_code,
        reason = "limits and filters of a process are set between fork and exec"
    )]
    pub(crate) fn before_exec(mut self, prepare: impl Fn() -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        // SAFETY: what the tests pass makes system calls only: no allocation, no lock that another thread may hold.
        unsafe { self.command.pre_exec(prepare) };
        self
    }

    /// Starts and waits until it is ready.
    pub(crate) fn start(mut self) -> Server {
        let mut child = self.command.spawn().expect("the binary starts");
        let log = follow(&mut child);
        let began = Instant::now();
        let port = loop {
            if let Some(port) = log
                .lock()
                .expect("the reader does not panic")
                .iter()
                .find_map(|line| ready_port(line))
            {
                break port;
            }
            if let Some(status) = child.try_wait().expect("our child") {
                panic!("ended with {status} before it was ready\n{}", shown(&log));
            }
            assert!(began.elapsed() < PATIENCE, "not ready in time\n{}", shown(&log));
            thread::sleep(Duration::from_millis(5));
        };
        Server {
            child,
            port,
            folder: self.folder,
            log,
        }
    }

    /// Sets a variable that is not the configuration's.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Has standard output go elsewhere.
    pub(crate) fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.command.stdout(to);
        self
    }

    /// Starts with its log going elsewhere, on a port that is free now, and waits until it is ready.
    pub(crate) fn start_with_log_to(mut self, stderr: impl Into<Stdio>) -> Server {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        self.command.env("QUINTILE_SERVER__LISTEN", format!("127.0.0.1:{port}"));
        let child = self.command.stderr(stderr).spawn().expect("the binary starts");
        let mut server = Server {
            child,
            port,
            folder: self.folder,
            log: Arc::default(),
        };
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.is_running(), "ended before it was ready");
            assert!(began.elapsed() < PATIENCE, "not ready in time");
            thread::sleep(Duration::from_millis(5));
        }
        while server.connect().get("/readyz").status != 200 {
            assert!(began.elapsed() < PATIENCE, "not ready in time");
            thread::sleep(Duration::from_millis(5));
        }
        server
    }

    /// Starts and does not wait until it is ready.
    pub(crate) fn spawn(mut self) -> Server {
        let mut child = self.command.spawn().expect("the binary starts");
        let log = follow(&mut child);
        Server {
            child,
            port: 0,
            folder: self.folder,
            log,
        }
    }

    /// Starts what must not come up; its exit code and its log.
    pub(crate) fn refused(mut self) -> (Option<i32>, String) {
        let mut child = self.command.spawn().expect("the binary starts");
        let log = follow(&mut child);
        let status = wait(&mut child, PATIENCE).expect("it gives up by itself");
        thread::sleep(Duration::from_millis(50));
        (status.code(), shown(&log))
    }
}

fn follow(child: &mut Child) -> Arc<Mutex<Vec<String>>> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (stderr, lines) = (child.stderr.take().expect("it is piped"), Arc::clone(&log));
    thread::Builder::new()
        .name("log".into())
        .spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().expect("nobody panics with it").push(line);
            }
        })
        .expect("a thread");
    log
}

fn shown(log: &Mutex<Vec<String>>) -> String {
    log.lock().expect("nobody panics with it").join("\n")
}

/// The port in the line that says the server is ready.
fn ready_port(line: &str) -> Option<u16> {
    let entry: serde_json::Value = serde_json::from_str(line).ok()?;
    let listen = entry["attributes"]["quintile.listen"].as_str()?;
    (entry["body"] == "ready").then(|| listen.rsplit(':').next()?.parse().ok())?
}

fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < patience {
        if let Some(status) = child.try_wait().expect("our child") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    None
}

impl Server {
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.port)
    }

    pub(crate) fn log(&self) -> String {
        shown(&self.log)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("our own child");
    }

    /// Waits for the end; the exit code.
    pub(crate) fn wait(&mut self) -> i32 {
        let status = wait(&mut self.child, PATIENCE);
        let status = status.unwrap_or_else(|| panic!("still running\n{}", self.log()));
        status.code().unwrap_or_else(|| panic!("{status}\n{}", self.log()))
    }

    /// Waits for the end of a process that was killed.
    pub(crate) fn wait_killed(&mut self) {
        wait(&mut self.child, PATIENCE).expect("it was killed");
    }

    /// SIGTERM, and a clean end. The data stays until the value is dropped.
    pub(crate) fn stop(&mut self) -> PathBuf {
        self.signal(Signal::TERM);
        let code = self.wait();
        assert_eq!(code, 0, "exit code\n{}", self.log());
        self.data()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// User and system time the process has used so far. Unit: clock ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("our child is there");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().expect("a number"))
            .sum()
    }

    /// Resident memory that is no file's, now. The metric of that name is renewed every few seconds only.
    pub(crate) fn anonymous_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("our child is there");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.expect("Linux 4.5").trim_end_matches("kB").trim().parse::<u64>();
        kilobytes.expect("a number") * 1024
    }

    pub(crate) fn open_descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .expect("our child is there")
            .count()
    }

    /// One value of `/metrics`, looked at until it is `wanted` or patience ends.
    pub(crate) fn await_metric(&self, series: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        let began = Instant::now();
        loop {
            let text = self.connect().get("/metrics").text();
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
            let value = line
                .unwrap_or_else(|| panic!("no {series} in\n{text}"))
                .parse()
                .expect("a number");
            if wanted(value) {
                return value;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "{series} is {value}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Whether glommio can be tried here at all. The server itself is asked: `--runtime glommio` refuses where it cannot.
pub(crate) fn io_uring_is_usable() -> bool {
    static ANSWER: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *ANSWER.get_or_init(|| match quintile::runtime::probe::io_uring(4) {
        Ok(()) => true,
        Err(why) => {
            eprintln!("SKIPPED: EVERY TEST OF THE GLOMMIO RUNTIME, for this machine denies it: {why}");
            false
        }
    })
}
