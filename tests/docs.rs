//! The documentation: its commands are run, its examples parsed, its links followed.
//! What cannot be run here is named with who runs it in place of this test.

mod support;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use saphyr::{LoadableYamlNode, Yaml};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::artefacts::Artefacts;
use support::root;
use support::run::run;

/// For a document: there is much to do, and the disk may be slow.
const LIMIT: Duration = Duration::from_secs(600);

/// Who runs a command in place of this test.
enum By {
    /// A target of the Makefile.
    Target(&'static str),
    /// A file of ours.
    File(&'static str),
    /// Nobody can here; why.
    Nobody(&'static str),
}
use By::{File, Nobody, Target};

/// Commands, as they stand in the documentation, that are not run by this test.
const ELSEWHERE: &[(&str, By)] = &[
    ("make", Target("check")),
    ("make check", Target("check")),
    ("make deb", Target("check-package")),
    ("AIO_TEST_FILTER=io_setup_limits make c-tests", Target("check")),
    ("apt-get install ./aio-rs_0.1.0_amd64.deb", File("scripts/check-package.sh")),
    ("apt-get install ./aio-rs-libaio_0.1.0_amd64.deb", File("scripts/check-package.sh")),
    ("apt-get remove aio-rs-libaio", File("scripts/check-package.sh")),
    (
        "docker build -t fio-on-aio-rs -f Dockerfile .",
        Nobody("there is no Docker; scripts/check-package.sh does what the recipe says"),
    ),
    ("docker run --rm fio-on-aio-rs", Nobody("as above")),
    ("kubectl apply -f pod.yaml", Nobody("there is no cluster; the_pod_is_sound reads it")),
];

struct Block {
    /// The document and its line.
    at: String,
    language: String,
    text: String,
}

impl Block {
    /// Command lines, without their comments; a backslash goes on to the next.
    fn commands(&self) -> Vec<String> {
        let lines = self.text.replace("\\\n", " ");
        let lines = lines.lines().map(|line| match line.split_once("  #") {
            Some((command, _)) => command,
            None => line,
        });
        let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        words.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn below(dir: &str, of_interest: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = fs::read_dir(root().join(dir)).expect("a directory").flatten();
    let names = entries.map(|entry| entry.file_name().into_string().expect("a name"));
    let mut names: Vec<_> = names.filter(|name| of_interest(name)).collect();
    names.sort();
    names.iter().map(|name| format!("{dir}/{name}")).collect()
}

fn documents() -> Vec<String> {
    let mut all = below(".", |name| name.ends_with(".md"));
    all.extend(below("docs", |name| name.ends_with(".md")));
    assert!(all.len() > 8, "{all:?}");
    all
}

/// The code of a Markdown document.
fn markdown(name: &str) -> Vec<Block> {
    let source = text(&root().join(name));
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (event, range) in Parser::new(&source).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let line = source[..range.start].lines().count() + 1;
                let at = format!("{}:{line}", name.trim_start_matches("./"));
                let CodeBlockKind::Fenced(language) = kind else {
                    panic!("{at}: give it a fence and say what it is")
                };
                open = Some(Block { at, language: language.to_string(), text: String::new() });
            }
            Event::Text(more) => {
                if let Some(block) = &mut open {
                    block.text += &more;
                }
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(open.take()),
            _ => {}
        }
    }
    blocks
}

/// The display lines of a manual page: all of them are commands.
fn manual_page(name: &str) -> Vec<Block> {
    let source = text(&root().join(name));
    let lines = source.lines().enumerate().filter_map(|(i, line)| {
        let line = line.strip_prefix(".Dl ").or_else(|| line.strip_prefix(".D1 "))?;
        let at = format!("{name}:{}", i + 1);
        Some(Block { at, language: "sh".into(), text: line.into() })
    });
    lines.collect()
}

/// All code, by documents.
fn all() -> BTreeMap<String, Vec<Block>> {
    let mut all: BTreeMap<String, Vec<Block>> =
        documents().into_iter().map(|name| (name.clone(), markdown(&name))).collect();
    let pages = below("docs/man", |_| true);
    all.extend(pages.into_iter().map(|name| (name.clone(), manual_page(&name))));
    all
}

fn of_language(language: &str) -> Vec<Block> {
    all().into_values().flatten().filter(|block| block.language == language).collect()
}

fn elsewhere(command: &str) -> Option<&'static By> {
    ELSEWHERE.iter().find(|(known, _)| *known == command).map(|(_, by)| by)
}

/// Where a document's commands are run: looks like a checkout in which make has run.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let link = |from: &Path, to: &str| symlink(from, dir.path().join(to)).expect("a link");
        link(&Artefacts::get().dir().canonicalize().expect("the artefacts"), "build");
        link(&root().join("include"), "include");
        link(&root().join("c-tests/example.c"), "program.c");
        let scratch = Self(dir);
        let installed = scratch.run(&["make install PREFIX=/usr/local".to_owned()]);
        assert_eq!(installed, Ok(()));
        scratch
    }

    /// Runs the commands one after another in one shell. `make` builds nothing, and
    /// what the documents have in /usr/local is below here.
    fn run(&self, commands: &[String]) -> Result<(), String> {
        let here = self.0.path().display().to_string();
        let (root, build) = (root().display(), Artefacts::get().dir().display());
        let make = format!(
            "make() {{ case $1 in demo) '{root}'/scripts/demo.sh '{build}' ;; \
             *) command make -s -o all -C '{root}' BUILD='{build}' \"$@\" ;; esac; }}"
        );
        let commands = commands.join("\n").replace("/usr/local", &format!("{here}/usr/local"));
        let script = format!("set -eu\n{make}\nset -x\n{commands}\n");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script])
            .current_dir(self.0.path())
            .env("PATH", format!("{here}/build/bin:{here}/usr/local/bin:{path}"))
            .env("PKG_CONFIG_PATH", format!("{here}/usr/local/lib/pkgconfig"))
            .env("DEMO_SHORT", "1")
            .env_remove("LD_PRELOAD");
        let out = run(&mut shell, LIMIT);
        if out.success() {
            Ok(())
        } else {
            Err(format!("{}\n{}{}", out.end, out.stdout, out.stderr))
        }
    }
}

#[test]
fn every_command_runs() {
    // Not while they are all waited for.
    Artefacts::get();
    std::thread::scope(|scope| {
        let documents = all();
        let runs: Vec<_> = documents
            .into_iter()
            .map(|(name, blocks)| {
                let shell = blocks.iter().filter(|block| block.language == "sh");
                let commands: Vec<_> = shell.flat_map(Block::commands).collect();
                (name, commands.into_iter().filter(|c| elsewhere(c).is_none()).collect::<Vec<_>>())
            })
            .filter(|(_, commands)| !commands.is_empty())
            .map(|(name, commands)| scope.spawn(move || (Scratch::new().run(&commands), name)))
            .collect();
        let failed: Vec<String> = runs
            .into_iter()
            .map(|run| run.join().expect("a thread"))
            .filter_map(|(outcome, name)| Some(format!("{name}: {}", outcome.err()?)))
            .collect();
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    });
}

#[test]
fn what_does_not_run_is_noticed() {
    let command = |line: &str| Scratch::new().run(&[line.to_owned(), "true".to_owned()]);
    assert!(command("aio-rs doctor").is_ok());
    assert!(command("aio-rs docter").is_err());
    assert!(command("make no-such-target").is_err());
}

#[test]
fn what_is_run_elsewhere_is_in_the_documents_and_there() {
    let blocks = of_language("sh");
    let commands: BTreeSet<String> = blocks.iter().flat_map(Block::commands).collect();
    let makefile = text(&root().join("Makefile"));
    for (command, by) in ELSEWHERE {
        assert!(commands.contains(*command), "no document has: {command}");
        match by {
            Target(name) => assert!(makefile.contains(&format!("\n{name}:")), "no target {name}"),
            File(name) => assert!(root().join(name).is_file(), "no {name}"),
            Nobody(why) => assert!(!why.is_empty()),
        }
    }
}

/// Those that are read by another test here, and those that are only shown.
#[test]
fn every_block_says_what_it_is() {
    const KNOWN: &[&str] = &["sh", "dockerfile", "yaml", "ini", "text"];
    for block in all().values().flatten() {
        assert!(KNOWN.contains(&block.language.as_str()), "{}: {}", block.at, block.language);
        let looks =
            block.text.lines().any(|line| line.starts_with("make ") || line.starts_with("$ "));
        assert!(block.language != "text" || !looks, "{}: is that not sh?", block.at);
    }
}

/// In the running text: `make bench`, `src/lib.rs`, [a page](differences.md).
#[test]
fn targets_paths_and_links_lead_somewhere() {
    const OURS: &[&str] =
        &["src/", "tests/", "c-tests/", "benches/", "scripts/", "include/", "docs/"];
    let makefile = text(&root().join("Makefile"));
    for name in documents() {
        let source = text(&root().join(&name));
        for (event, _) in Parser::new(&source).into_offset_iter() {
            match event {
                Event::Code(code) => {
                    let mut words = code.split_whitespace();
                    if words.next() == Some("make") {
                        let target = words.find(|word| !word.contains('=')).unwrap_or("all");
                        assert!(makefile.contains(&format!("\n{target}:")), "{name}: `{code}`");
                    }
                    // A path of ours, unless it has a word that stands for another.
                    let path = OURS.iter().any(|dir| code.starts_with(dir))
                        && !code.chars().any(|c| c.is_uppercase() || c.is_whitespace());
                    assert!(!path || root().join(&*code).exists(), "{name}: no `{code}`");
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    assert!(leads(&name, &dest_url), "{name}: {dest_url} leads nowhere");
                }
                _ => {}
            }
        }
    }
}

fn leads(from: &str, link: &str) -> bool {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    if link.contains("://") {
        return true;
    }
    let mut path = root().join(from);
    if !file.is_empty() {
        path = path.parent().expect("a directory").join(file);
    }
    // The report of `make bench-report` is there as a whole, or not at all.
    let report = root().join("docs/bench");
    if path.starts_with(&report) && !report.exists() {
        return true;
    }
    path.exists() && (anchor.is_empty() || anchors(&path).contains(anchor))
}

/// Of headings, as GitHub makes them, and those that are written out.
fn anchors(path: &Path) -> BTreeSet<String> {
    let source = text(path);
    let plain = |heading: &str| {
        let letters = heading.trim().to_lowercase();
        let kept = letters.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-")
    };
    let headings = source.lines().filter(|line| line.starts_with('#'));
    let mut all: BTreeSet<_> = headings.map(|line| plain(line.trim_start_matches('#'))).collect();
    all.extend(source.split("<a id=\"").skip(1).filter_map(|t| Some(t.split_once('"')?.0.into())));
    all
}

/// The values of a field, wherever it stands.
fn fields<'a>(node: &'a Yaml<'a>, name: &str, found: &mut Vec<&'a Yaml<'a>>) {
    if let Some(map) = node.as_mapping() {
        for (key, value) in map {
            if key.as_str() == Some(name) {
                found.push(value);
            }
            fields(value, name, found);
        }
    }
    node.as_sequence().into_iter().flatten().for_each(|node| fields(node, name, found));
}

#[test]
fn the_pod_is_sound() {
    let blocks = of_language("yaml");
    assert!(!blocks.is_empty());
    for block in blocks {
        let documents =
            Yaml::load_from_str(&block.text).unwrap_or_else(|e| panic!("{}: {e}", block.at));
        for pod in &documents {
            let all = |name: &str| {
                let mut found = Vec::new();
                fields(pod, name, &mut found);
                found
            };
            assert_eq!(pod["kind"].as_str(), Some("Pod"), "{}", block.at);
            for privilege in ["securityContext", "sysctls", "privileged", "hostPath"] {
                assert!(all(privilege).is_empty(), "{}: {privilege}", block.at);
            }
            let names = |list: &Yaml| -> BTreeSet<String> {
                let items = list.as_sequence().expect("a list").iter();
                items.map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
            };
            let volumes = names(&pod["spec"]["volumes"]);
            for mounts in all("volumeMounts") {
                assert!(names(mounts).is_subset(&volumes), "{}", block.at);
            }
            // The library is preloaded from where the volume is.
            for container in pod["spec"]["containers"].as_sequence().expect("containers") {
                let mounts = container["volumeMounts"].as_sequence().expect("mounts").iter();
                let at: Vec<_> = mounts.filter_map(|mount| mount["mountPath"].as_str()).collect();
                let env = container["env"].as_sequence().expect("an environment").iter();
                let preload = env.clone().find(|v| v["name"].as_str() == Some("LD_PRELOAD"));
                let preload = preload.and_then(|v| v["value"].as_str()).expect("LD_PRELOAD");
                assert!(at.iter().any(|at| preload.starts_with(at)), "{}: {preload}", block.at);
            }
        }
    }
}

/// What scripts/check-package.sh understands, and what is there to be copied.
#[test]
fn the_recipes_copy_what_make_builds() {
    let blocks = of_language("dockerfile");
    assert!(!blocks.is_empty());
    for block in blocks {
        for line in block.commands() {
            let (instruction, rest) = line.split_once(' ').expect("arguments");
            match instruction {
                "FROM" | "ENV" | "RUN" | "CMD" => {}
                "COPY" => {
                    let file = rest.split_whitespace().next().expect("a file");
                    let made = file.strip_prefix("build/").expect("a file that make builds");
                    let packages = made.starts_with("deb/");
                    let there = Artefacts::get().dir().join(made).exists();
                    assert!(packages || there, "{}: {file}", block.at);
                }
                other => panic!("{}: {other}", block.at),
            }
        }
    }
}
