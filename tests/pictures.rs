//! What `aio-rs top` and `aio-rs doctor` look like: on a terminal of fixed size, and
//! in docs/pictures, which `make pictures` draws from just this.

mod support;

use std::env;
use std::fmt::Write;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use support::artefacts::Artefacts;
use support::root;
use support::run::run;
use vt100::{Cell, Color, Parser, Screen};

const ROWS: u16 = 24;
const COLS: u16 = 110;
const INSTALLED: &str = "/usr/lib/x86_64-linux-gnu/aio-rs/libaio-rs-preload.so";

/// fio, counted, until it is killed.
struct Fio(Child);

impl Fio {
    fn start(dir: &Path, engine: &str, job: &[&str]) -> Self {
        let ours = Artefacts::get();
        let mut command = Command::new(ours.command());
        command.args(["run", "--stats", "--engine", engine, "--library"]).arg(ours.preload());
        command.args(["fio", "--thread", "--name=job", "--ioengine=libaio", "--size=16m"]);
        command.args(["--runtime=60", "--time_based"]).args(job).current_dir(dir);
        command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
        let fio = Self(command.spawn().expect("aio-rs run fio"));
        // Until it has a context.
        let began = Instant::now();
        while !fio.stats().contains("\"contexts\": 1,") {
            assert!(began.elapsed() < Duration::from_secs(60), "fio does not begin");
            thread::sleep(Duration::from_millis(20));
        }
        fio
    }

    fn stats(&self) -> String {
        let mut command = Command::new(Artefacts::get().command());
        let pid = self.0.id().to_string();
        run(command.args(["stats", "--json", &pid]), Duration::from_secs(60)).stdout
    }
}

impl Drop for Fio {
    fn drop(&mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("wait");
    }
}

/// The last screen of a command that has a terminal of its own.
fn screen(command: &str) -> Parser {
    let line = format!("stty cols {COLS} rows {ROWS}; {command}");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm-256color");
    let out = run(script.env("CLICOLOR_FORCE", "1"), Duration::from_secs(60));
    assert!(out.success(), "{command}: {out:?}");
    // Behind it, the screen is again what it was before.
    let text = out.stdout.split("\x1b[?1049l").next().unwrap_or_default();
    let size = |n| NonZero::new(n).expect("a size");
    let mut parser = Parser::new(size(ROWS), size(COLS), 0);
    parser.process(text.as_bytes());
    parser
}

/// The escape sequence that says how a cell looks.
fn style(cell: &Cell) -> String {
    let mut sgr = String::from("\x1b[0");
    for (is, code) in [(cell.bold(), 1), (cell.dim(), 2), (cell.inverse(), 7)] {
        if is {
            write!(sgr, ";{code}").expect("a string takes all");
        }
    }
    if let Color::Idx(n) = cell.fgcolor() {
        write!(sgr, ";38;5;{n}").expect("a string takes all");
    }
    sgr + "m"
}

/// Rows of a screen, without those at the end that are empty.
fn rows(screen: &Screen) -> Vec<String> {
    let mut all: Vec<String> = (0..ROWS)
        .map(|row| {
            let mut text = String::new();
            let mut last = String::new();
            for cell in (0..COLS).filter_map(|col| screen.cell(row, col)) {
                let now = style(cell);
                if now != last {
                    text += &now;
                    last = now;
                }
                text += if cell.has_contents() { cell.contents() } else { " " };
            }
            text + "\x1b[0m"
        })
        .collect();
    let used = screen.rows(0, COLS).collect::<Vec<_>>();
    let last = used.iter().rposition(|row| !row.trim().is_empty()).map_or(0, |row| row + 1);
    all.truncate(last);
    all
}

/// Draws it, where that is asked for; what is in docs/pictures has to be of this.
fn picture(name: &str, text: &str, of: &str) {
    let file = root().join("docs/pictures").join(name);
    if env::var_os("AIO_RS_WRITE_PICTURES").is_some() {
        // As it is installed.
        let preload = Artefacts::get().preload();
        let text = text.replace(&*preload.to_string_lossy(), INSTALLED);
        let svg = anstyle_svg::Term::new().render_svg(&text);
        fs::write(&file, svg).expect("the picture");
    }
    let svg = fs::read_to_string(&file).unwrap_or_default();
    assert!(svg.contains(of), "{}: make pictures", file.display());
    assert!(svg.len() < 64 * 1024, "{} is large", file.display());
}

#[test]
fn top() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let direct = ["--filename=a", "--direct=1", "--rw=randrw", "--bs=8k", "--iodepth=16"];
    let cached = ["--filename=b", "--rw=randread", "--bs=4k", "--rate_iops=20000", "--pre_read=1"];
    let uring = Fio::start(dir.path(), "uring", &direct);
    let threads = Fio::start(dir.path(), "threads", &cached);
    let command = Artefacts::get().command();
    let parser = screen(&format!("sleep 1; {} top --count 3", command.display()));
    let text = parser.screen().contents();
    for (fio, engine) in [(&uring, "uring"), (&threads, "threads")] {
        let pid = fio.0.id().to_string();
        let row = text.lines().find(|line| line.trim_start().starts_with(&pid));
        let row: Vec<&str> =
            row.unwrap_or_else(|| panic!("no {pid}:\n{text}")).split_whitespace().collect();
        assert_eq!((row.len(), &row[1..4]), (13, &["fio", engine, "1"][..]), "{text}");
    }
    assert!(text.contains("q ends, arrows choose a process"), "{text}");
    picture("top.svg", &rows(parser.screen()).join("\n"), "SUBMIT p99");
}

#[test]
fn doctor() {
    let ours = Artefacts::get();
    let mut text = String::new();
    for command in ["doctor", "doctor fio"] {
        let run = format!("{} {command}", ours.command().display());
        let parser = screen(&run);
        assert!(parser.screen().contents().starts_with("ok"), "{}", parser.screen().contents());
        text +=
            &format!("$ \x1b[1maio-rs {command}\x1b[0m\n{}\n", rows(parser.screen()).join("\n"));
    }
    picture("doctor.svg", &text, "io_uring can be used");
}
