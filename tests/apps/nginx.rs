//! nginx as a file server. Debian's has no file AIO: one is built of its source.

use crate::app::{App, Figure};
use crate::cache;
use crate::job::Job;
use crate::support::daemon::Daemon;
use crate::support::ours::Way;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

pub const APPS: &[App] = &[App {
    name: "nginx",
    needs: &[("dpkg-dev", "dpkg-source"), ("make", "make"), ("gcc", "gcc"), ("strace", "strace")],
    uses: "by number; an eventfd on every request; a context for each worker process, made after \
           the environment was cleared",
    set: "built with `--with-file-aio`; `aio on; directio 512;`",
    verified: "2 workers serve files of up to 20 MB to 8 clients, whole and in ranges of any \
               alignment; every byte is compared",
    ways: &[Way::Preload],
    root: false,
    in_check: false,
    limit: Duration::from_secs(400),
    run: serve,
}];

const WITHOUT: [&str; 9] = [
    "http_rewrite_module",
    "http_gzip_module",
    "http_proxy_module",
    "http_fastcgi_module",
    "http_uwsgi_module",
    "http_scgi_module",
    "http_grpc_module",
    "http_memcached_module",
    "pcre",
];

fn build(job: &Job) -> Result<String, String> {
    let dir = cache::made("nginx-file-aio", |dir| {
        let source = cache::source_package(job, "nginx", dir)?;
        let mut configure: Command = job.plain("./configure");
        configure.current_dir(&source).args(["--with-file-aio", "--with-threads"]);
        configure.args(WITHOUT.map(|module| format!("--without-{module}")));
        let said = job.must(&mut configure)?;
        if !said.contains("checking for Linux AIO support ... found") {
            return Err(said);
        }
        job.must(job.plain("make").current_dir(&source).args(["-s", "-j2"]))?;
        fs::copy(source.join("objs/nginx"), dir.join("nginx")).map_err(|e| e.to_string())?;
        fs::remove_dir_all(source).map_err(|e| e.to_string())
    })?;
    Ok(dir.join("nginx").display().to_string())
}

fn configuration(dir: &Path, socket: &Path) -> String {
    let (dir, socket) = (dir.display(), socket.display());
    format!(
        "worker_processes 2; daemon off; user root root; pid {dir}/pid; error_log {dir}/errors info;
         events {{ worker_connections 128; }}
         http {{
             access_log off; sendfile off; client_body_temp_path {dir}/body;
             aio on; directio 512; output_buffers 4 256k;
             server {{ listen unix:{socket}; root {dir}/files; }}
         }}"
    )
}

/// Sizes that end within a block, on its edge, and before `directio` begins.
const SIZES: [usize; 6] = [20_000_001, 8 << 20, 3_000_511, 65_537, 512, 100];

/// Bytes that tell where they come from.
fn content(file: usize) -> Vec<u8> {
    let word = |n: usize| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ file as u64;
    (0..SIZES[file].div_ceil(8)).flat_map(|n| word(n).to_le_bytes()).take(SIZES[file]).collect()
}

/// One GET; the body.
fn get(socket: &Path, file: usize, range: Option<(usize, usize)>) -> Result<Vec<u8>, String> {
    let said = |e: std::io::Error| format!("file {file}: {e}");
    let mut stream = UnixStream::connect(socket).map_err(said)?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).map_err(said)?;
    let range = range.map(|(from, to)| format!("Range: bytes={from}-{to}\r\n")).unwrap_or_default();
    write!(stream, "GET /{file} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{range}\r\n")
        .map_err(said)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(said)?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or("no header")?;
    let wanted = if range.is_empty() { "HTTP/1.1 200 " } else { "HTTP/1.1 206 " };
    if !answer.starts_with(wanted.as_bytes()) {
        return Err(String::from_utf8_lossy(&answer[..end]).into_owned());
    }
    Ok(answer.split_off(end + 4))
}

/// What one client fetches, and how many bytes of it were right: all.
fn client(
    socket: &Path,
    contents: &[Vec<u8>],
    seed: usize,
    rounds: usize,
) -> Result<usize, String> {
    let mut bytes = 0;
    let mut random = seed as u64 + 1;
    let mut below = |n: usize| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(seed as u64 | 1);
        (random >> 33) as usize % n
    };
    for round in 0..rounds * contents.len() {
        let file = (seed + round) % contents.len();
        let content = &contents[file];
        let (from, to) = match round % 3 {
            0 => (0, content.len() - 1),
            _ => {
                let from = below(content.len());
                (from, from + below(content.len() - from))
            }
        };
        let body = get(socket, file, (round % 3 != 0).then_some((from, to)))?;
        if body != content[from..=to] {
            let at = body.iter().zip(&content[from..]).position(|(a, b)| a != b);
            let (got, wanted) = (body.len(), to - from + 1);
            return Err(format!(
                "file {file}, bytes {from}-{to}: {got} bytes of {wanted}, the first wrong one: {at:?}"
            ));
        }
        bytes += body.len();
    }
    Ok(bytes)
}

fn first_lines(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().take(20).map(|line| format!("{line}\n")).collect()
}

fn serve(job: &Job) -> Result<Figure, String> {
    let nginx = build(job)?;
    // Its path is to fit into an address.
    let at = tempfile::tempdir().map_err(|e| e.to_string())?;
    let socket = at.path().join("socket");
    fs::create_dir(job.path("files")).map_err(|e| e.to_string())?;
    let contents: Vec<Vec<u8>> = (0..SIZES.len()).map(content).collect();
    for (file, content) in contents.iter().enumerate() {
        fs::write(job.path("files").join(file.to_string()), content).map_err(|e| e.to_string())?;
    }
    fs::write(job.path("conf"), configuration(job.dir, &socket)).map_err(|e| e.to_string())?;
    let settings = ["-e", "errors", "-p", ".", "-c", "conf"];

    // On the kernel's AIO, strace counts its calls: that it is used at all.
    let mut command = if job.on_kernel() {
        let mut strace = job.plain("strace");
        strace.args(["-f", "-qq", "--seccomp-bpf", "-e", "trace=io_submit", "-o", "calls"]);
        strace.arg(&nginx);
        strace
    } else {
        job.command(&nginx)
    };
    let mut server = Daemon::start(command.args(settings), &job.path("output"))?;
    server.wait_until(Duration::from_secs(20), || UnixStream::connect(&socket).is_ok())?;
    let errors = || first_lines(&job.path("errors"));
    // Whether a worker lives, which the master starts again and again.
    get(&socket, 0, None).map_err(|e| format!("{e}\n{}", errors()))?;
    let started = Instant::now();
    let fetched: Result<Vec<usize>, String> = thread::scope(|scope| {
        let client = |seed| client(&socket, &contents, seed, job.pick(1, 3));
        let clients: Vec<_> = (0..8).map(|seed| scope.spawn(move || client(seed))).collect();
        clients.into_iter().map(|c| c.join().expect("a client")).collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    let fetched = fetched.map_err(|e| format!("{e}\n{}", errors()))?;
    let mib = fetched.iter().sum::<usize>() as f64 / f64::from(1 << 20);

    job.must(job.plain(&nginx).args(settings).args(["-s", "quit"]))?;
    server.ended(Duration::from_secs(20))?;
    let log = fs::read_to_string(job.path("errors")).map_err(|e| e.to_string())?;
    if ["[error]", "[crit]", "[alert]", "[emerg]"].iter().any(|level| log.contains(level)) {
        return Err(errors());
    }
    if job.on_kernel() {
        let calls = fs::read_to_string(job.path("calls")).unwrap_or_default();
        let calls = calls.lines().filter(|line| line.contains("io_submit")).count();
        if calls < 100 {
            return Err(format!("only {calls} calls of io_submit"));
        }
        return Ok(format!("{mib:.0} MiB by {calls} requests"));
    }
    Ok(format!("{mib:.0} MiB, {:.0} MiB/s", mib / seconds))
}
