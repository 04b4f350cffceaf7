//! MariaDB with native AIO: contexts by libaio, their events by a raw
//! io_getevents. Killed again and again under write load, it loses no row that it
//! said was committed.

use crate::app::{App, BOTH, Figure};
use crate::job::Job;
use crate::support::daemon::Daemon;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

const NEEDS: &[(&str, &str)] =
    &[("mariadb-server-core", "mariadbd"), ("mariadb-client-core", "mariadb")];

pub const APPS: &[App] = &[
    App {
        name: "MariaDB",
        needs: NEEDS,
        uses: "io_setup, io_submit and io_destroy of libaio, io_getevents by `syscall()`; several \
           threads submit, one waits without a time limit",
        set: "`innodb_linux_aio=aio`, as Debian's build prefers its own io_uring; its log then says \
          \"Using Linux native AIO\"",
        verified: "30 times SIGKILL while 4 clients write to tables five times its buffer pool, and \
               recovery: every committed row is there, with its checksum, once; CHECK TABLE \
               EXTENDED; after a shutdown CHECKSUM TABLE and innochecksum",
        ways: BOTH,
        root: true,
        in_check: true,
        limit: Duration::from_secs(420),
        run: killed,
    },
    App {
        name: "MariaDB, fs.aio-max-nr full",
        needs: NEEDS,
        uses: "as above",
        set: "as above",
        verified: "another process has all of fs.aio-max-nr: on the kernel's AIO the server says that \
               it goes on without; on this library it uses native AIO, and CHECK TABLE",
        ways: BOTH,
        root: true,
        in_check: false,
        limit: Duration::from_secs(120),
        run: none_left,
    },
    App {
        name: "MariaDB, fs.aio-max-nr 0",
        needs: NEEDS,
        uses: "as above",
        set: "as above",
        verified: "fs.aio-max-nr is 0 while the server starts: as above",
        ways: BOTH,
        root: true,
        in_check: false,
        limit: Duration::from_secs(120),
        run: none_allowed,
    },
];

const CLIENTS: usize = 4;
/// More transactions than a client gets done between two kills.
const PLANNED: usize = 4000;

struct Server {
    daemon: Daemon,
}

impl Server {
    /// Makes the data directory; no server runs yet.
    fn install(job: &Job) -> Result<(), String> {
        let mut install = job.plain("mariadb-install-db");
        install
            .args(["--no-defaults", "--user=root", "--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", "--skip-name-resolve"])
            .arg(format!("--datadir={}", job.path("data").display()));
        job.must(&mut install).map(drop)
    }

    /// Returns when it takes clients; before, it recovers.
    fn start(job: &Job, mut mariadbd: Command) -> Result<Self, String> {
        mariadbd
            .args(["--no-defaults", "--user=root", "--skip-networking", "--skip-grant-tables"])
            .arg(format!("--datadir={}", job.path("data").display()))
            .arg(format!("--socket={}", job.path("socket").display()))
            .arg(format!("--pid-file={}", job.path("pid").display()))
            .args(["--innodb_use_native_aio=1", "--innodb_linux_aio=aio"])
            .args(["--innodb_flush_method=O_DIRECT", "--innodb_doublewrite=1"])
            .args(["--innodb_flush_log_at_trx_commit=1", "--innodb_checksum_algorithm=crc32"])
            // Small, so that pages are read and written all the time.
            .args(["--innodb_buffer_pool_size=8M", "--innodb_log_file_size=16M"])
            .args(["--innodb_fast_shutdown=1", "--innodb_buffer_pool_dump_at_shutdown=0"])
            .args(["--innodb_max_dirty_pages_pct_lwm=0.001", "--innodb_io_capacity=2000"]);
        let mut daemon = job.daemon(&mut mariadbd)?;
        let output = job.path("output");
        let ready =
            || fs::read_to_string(&output).is_ok_and(|text| text.contains("ready for connections"));
        daemon.wait_until(job.left().min(Duration::from_secs(90)), ready)?;
        Ok(Self { daemon })
    }

    /// Its log proves which AIO it uses.
    fn with_native_aio(self) -> Result<Self, String> {
        let said = self.daemon.output();
        if said.contains("[ERROR]") || !said.contains("Using Linux native AIO") {
            return Err(format!("not with native AIO\n{said}"));
        }
        Ok(self)
    }

    fn kill(self) {
        self.daemon.kill();
    }

    fn shut_down(self, job: &Job) -> Result<(), String> {
        sql(job, "SHUTDOWN")?;
        let said = self.daemon.ended(job.left())?;
        if said.contains("[ERROR]") { Err(said) } else { Ok(()) }
    }
}

fn start_native(job: &Job) -> Result<Server, String> {
    Server::start(job, job.command("mariadbd"))?.with_native_aio()
}

fn client(job: &Job) -> Command {
    let mut client = job.plain("mariadb");
    client
        .args(["--no-defaults", "--batch", "--skip-column-names", "--unbuffered"])
        .arg(format!("--socket={}", job.path("socket").display()));
    client
}

fn sql(job: &Job, statements: &str) -> Result<String, String> {
    job.must(client(job).args(["-e", statements]))
}

/// Tables of about 40 MiB: `kept` is loaded once and updated, `log` grows by the
/// clients' transactions, `counter` says how far each has come.
fn create(job: &Job, rows: usize) -> Result<(), String> {
    sql(
        job,
        &format!(
            "CREATE DATABASE d; USE d;
             CREATE TABLE log (client INT, seq INT, data VARBINARY(2000), sum BIGINT,
                PRIMARY KEY (client, seq), KEY (sum)) ENGINE=InnoDB;
             CREATE TABLE counter (client INT PRIMARY KEY, seq INT) ENGINE=InnoDB;
             CREATE TABLE kept (id INT PRIMARY KEY, data VARBINARY(2000), sum BIGINT)
                ENGINE=InnoDB;
             INSERT INTO counter SELECT seq, 0 FROM seq_0_to_{};
             INSERT INTO kept SELECT seq, REPEAT(MD5(seq), 60), CRC32(REPEAT(MD5(seq), 60))
                FROM seq_0_to_{rows}",
            CLIENTS - 1
        ),
    )
    .map(drop)
}

/// A client that commits one transaction after another, and writes down after
/// each how far it is.
struct Writer {
    client: Child,
    n: usize,
}

impl Writer {
    fn start(job: &Job, n: usize, from: usize, rows: usize) -> Result<Self, String> {
        let script = job.path(&format!("script{n}"));
        let mut text = String::from("USE d;\n");
        for seq in from..from + PLANNED {
            let kept = (seq * 7919 + n * 104_729) % rows;
            text += &format!(
                "BEGIN; SET @d = REPEAT(MD5('{n} {seq}'), {}); \
                 INSERT INTO log VALUES ({n}, {seq}, @d, CRC32(@d)); \
                 UPDATE kept SET data = @d, sum = CRC32(@d) WHERE id = {kept}; \
                 UPDATE counter SET seq = {seq} WHERE client = {n}; COMMIT; SELECT {seq};\n",
                seq % 60 + 1
            );
        }
        File::create(&script).and_then(|mut f| f.write_all(text.as_bytes())).map_err(err)?;
        let client = client(job)
            .stdin(File::open(&script).map_err(err)?)
            .stdout(File::create(job.path(&format!("committed{n}"))).map_err(err)?)
            .stderr(Stdio::null())
            .spawn()
            .map_err(err)?;
        Ok(Self { client, n })
    }

    /// The last transaction that it knows to be committed, if any.
    fn ended(&mut self, job: &Job) -> Result<Option<usize>, String> {
        let _ = self.client.wait();
        let said = fs::read_to_string(job.path(&format!("committed{}", self.n))).map_err(err)?;
        // Without its end a line may be half of a number.
        let whole = said.rfind('\n').map_or("", |end| &said[..end]);
        Ok(whole.lines().last().and_then(|line| line.parse().ok()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

fn err(e: std::io::Error) -> String {
    e.to_string()
}

/// What the tables must be, however the server ended.
fn verify(job: &Job, committed: &[usize], rows: usize) -> Result<(), String> {
    let checks = sql(job, "USE d; CHECK TABLE log, counter, kept EXTENDED")?;
    if checks.lines().count() != 3 || !checks.lines().all(|line| line.ends_with("OK")) {
        return Err(checks);
    }
    let bad = sql(
        job,
        "USE d; SELECT COUNT(*) FROM log WHERE CRC32(data) <> sum
            OR data <> REPEAT(MD5(CONCAT(client, ' ', seq)), seq % 60 + 1);
         SELECT COUNT(*) FROM kept WHERE CRC32(data) <> sum",
    )?;
    if bad != "0\n0\n" {
        return Err(format!("rows with wrong data: {bad}"));
    }
    let kept = sql(job, "SELECT COUNT(*) FROM d.kept")?;
    if kept.trim() != (rows + 1).to_string() {
        return Err(format!("{kept} rows of {}", rows + 1));
    }
    for (client, said) in committed.iter().enumerate() {
        // Rows 1 to the counter, without a gap: transactions are there as a whole.
        let state = sql(
            job,
            &format!(
                "USE d; SELECT seq, (SELECT COUNT(*) FROM log WHERE client = {client}),
                    (SELECT COALESCE(MAX(seq), 0) FROM log WHERE client = {client})
                 FROM counter WHERE client = {client}"
            ),
        )?;
        let numbers: Vec<usize> = state.split_whitespace().flat_map(str::parse).collect();
        match numbers[..] {
            [counter, count, last] if counter == count && count == last && last >= *said => {}
            _ => {
                return Err(format!(
                    "client {client}: {said} were committed; counter, rows, last row: {state}"
                ));
            }
        }
    }
    Ok(())
}

fn last_rows(job: &Job) -> Result<Vec<usize>, String> {
    let said = sql(job, "SELECT seq FROM d.counter ORDER BY client")?;
    Ok(said.lines().flat_map(str::parse).collect())
}

fn killed(job: &Job) -> Result<Figure, String> {
    let rows = job.pick(4000, 20_000);
    let cycles = match (job.full, job.on_kernel()) {
        (false, _) => 1,
        (true, true) => 5,
        (true, false) => 30,
    };
    Server::install(job)?;
    let mut server = start_native(job)?;
    create(job, rows)?;
    let mut committed = vec![0; CLIENTS];
    for cycle in 0..cycles {
        let from = last_rows(job)?;
        let started: Result<Vec<Writer>, String> =
            (0..CLIENTS).map(|n| Writer::start(job, n, from[n] + 1, rows)).collect();
        let mut writers = started?;
        thread::sleep(Duration::from_millis(200 + 137 * cycle % 900));
        server.kill();
        for writer in &mut writers {
            if let Some(seq) = writer.ended(job)? {
                committed[writer.n] = seq;
            }
        }
        server = start_native(job)?;
        verify(job, &committed, rows).map_err(|text| format!("cycle {cycle}: {text}"))?;
    }
    let all: usize = committed.iter().sum();
    if all == 0 {
        return Err("nothing was committed".into());
    }

    let sums = "USE d; CHECKSUM TABLE log, counter, kept";
    let before = sql(job, sums)?;
    server.shut_down(job)?;
    for table in ["log", "kept"] {
        job.must(job.plain("innochecksum").arg(format!("data/d/{table}.ibd")))?;
    }
    let server = start_native(job)?;
    let after = sql(job, sums)?;
    server.shut_down(job)?;
    if before != after {
        return Err(format!("before the shutdown {before}, after it {after}"));
    }
    Ok(format!("{cycles} kills, {all} transactions kept"))
}

/// Makes contexts until the host has no room for one more, and keeps them.
const HOG: &str = "my $n = 1 << 20; \
     while ($n) { my $c = pack('Q', 0); syscall(206, $n, $c) == 0 or $n >>= 1; } \
     $| = 1; print \"held\\n\"; sleep 600;";

fn none_left(job: &Job) -> Result<Figure, String> {
    without_kernel_aio(job, || {
        let held = job.path("hog");
        let mut hog = Daemon::start(job.plain("perl").args(["-e", HOG]), &held)?;
        let is_held = || fs::read_to_string(&held).is_ok_and(|text| text == "held\n");
        hog.wait_until(job.left(), is_held)?;
        Ok(hog)
    })
}

const AIO_MAX_NR: &str = "/proc/sys/fs/aio-max-nr";

/// Sets the limit back when it is told to, and when nobody is left to tell it.
const KEEPER: &str = "trap '' HUP INT TERM; was=$(cat $0) && echo 0 >$0 && echo set; \
     read end; echo $was >$0";

/// The limit is 0 as long as this lives.
struct NoneAllowed(Child);

impl NoneAllowed {
    fn new() -> Result<Self, String> {
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, AIO_MAX_NR]).process_group(0);
        keeper.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = Self(keeper.spawn().map_err(err)?);
        let mut said = [0; 4];
        let set = keeper.0.stdout.as_mut().is_some_and(|out| out.read_exact(&mut said).is_ok());
        if set { Ok(keeper) } else { Err(format!("{AIO_MAX_NR} cannot be set")) }
    }
}

impl Drop for NoneAllowed {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn none_allowed(job: &Job) -> Result<Figure, String> {
    let limit = || fs::read_to_string(AIO_MAX_NR).map_err(err);
    let before = limit()?;
    if before == "0\n" {
        return Err(format!("{AIO_MAX_NR} is 0 already"));
    }
    let figure = without_kernel_aio(job, NoneAllowed::new);
    let after = limit()?;
    if after == before { figure } else { Err(format!("{AIO_MAX_NR} is {after} now")) }
}

/// While the answer of `take_away` lives, the kernel makes no context.
fn without_kernel_aio<T>(
    job: &Job,
    take_away: impl FnOnce() -> Result<T, String>,
) -> Result<Figure, String> {
    Server::install(job)?;
    let taken = take_away()?;
    let server = Server::start(job, job.command("mariadbd"))?;
    // Others may want it.
    drop(taken);
    if job.on_kernel() {
        let said = server.daemon.output();
        server.shut_down(job)?;
        return match said.contains("native AIO failed: falling back") {
            true => Ok("refused, goes on without".into()),
            false => Err(format!("the kernel's AIO was not refused\n{said}")),
        };
    }
    let server = server.with_native_aio()?;
    create(job, 4000)?;
    verify(job, &[0; CLIENTS], 4000)?;
    server.shut_down(job)?;
    Ok("native AIO, tables right".into())
}
