//! aio-rs top: the processes that count, again and again.

use crate::args::Top;
use crate::fail;
use crate::pages::{self, Sample};
use crate::stats::page::{Kind, Page, Way};
use crate::tell;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::prelude::*;
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table, TableState};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub fn run(args: &Top) -> ExitCode {
    if args.interval.is_nan() || args.interval < 0.05 || args.interval > 3600.0 {
        return fail(2, "--interval is a number of seconds, from 0.05 to 3600");
    }
    if let Some(pid) = args.pid
        && let Err(e) = pages::of(pid)
    {
        return fail(1, e);
    }
    pages::sweep();
    let done = if args.json {
        lines(args)
    } else if std::io::stdout().is_terminal() {
        let mut terminal = ratatui::init();
        let done = screen(args, &mut terminal);
        ratatui::restore();
        done
    } else {
        return fail(2, "standard output is no terminal: use --json, or aio-rs stats PID");
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => fail(1, e),
    }
}

fn samples(args: &Top) -> Vec<Sample> {
    match args.pid {
        Some(pid) => pages::of(pid).into_iter().collect(),
        None => pages::all(),
    }
}

fn lines(args: &Top) -> std::io::Result<()> {
    for look in 0..args.count.unwrap_or(u64::MAX) {
        if look > 0 {
            std::thread::sleep(Duration::from_secs_f64(args.interval));
        }
        for sample in samples(args) {
            writeln!(std::io::stdout().lock(), "{}", tell::json(&sample))?;
        }
    }
    Ok(())
}

/// Two looks at all processes.
struct View {
    now: Vec<Sample>,
    before: Vec<Sample>,
    chosen: TableState,
}

fn screen(args: &Top, terminal: &mut DefaultTerminal) -> std::io::Result<()> {
    let mut view = View {
        now: samples(args),
        before: Vec::new(),
        chosen: TableState::default().with_selected(Some(0)),
    };
    let mut looks = 1;
    loop {
        terminal.draw(|frame| view.draw(frame))?;
        if args.count.is_some_and(|count| looks >= count) {
            return Ok(());
        }
        let until = Instant::now() + Duration::from_secs_f64(args.interval);
        while event::poll(until.saturating_duration_since(Instant::now()))? {
            if let Event::Key(key) = event::read()? {
                match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                    KeyCode::Char('c') if key.modifiers == KeyModifiers::CONTROL => return Ok(()),
                    KeyCode::Down | KeyCode::Char('j') => view.chosen.select_next(),
                    KeyCode::Up | KeyCode::Char('k') => view.chosen.select_previous(),
                    _ => {}
                }
            }
            terminal.draw(|frame| view.draw(frame))?;
        }
        view.before = std::mem::replace(&mut view.now, samples(args));
        looks += 1;
    }
}

/// A number a second, short.
fn short(n: f64) -> String {
    match n {
        n if n >= 1e6 => format!("{:.1}M", n / 1e6),
        n if n >= 1e4 => format!("{:.1}k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

/// Names to the left, numbers to the right.
fn cell((column, text): (usize, impl Into<String>)) -> Cell<'static> {
    let text = Line::from(text.into());
    Cell::from(if column == 0 || column > 2 { text.right_aligned() } else { text })
}

impl View {
    /// What a process counted between the two looks, a second; since it began
    /// where there was no look before.
    fn rate(&self, sample: &Sample, of: impl Fn(&Page<u64>) -> u64) -> f64 {
        let before = self.before.iter().find(|b| b.pid == sample.pid);
        let (n, seconds) = before.map_or((0, 0.0), |b| (of(&b.page), b.seconds));
        of(&sample.page).saturating_sub(n) as f64 / (sample.seconds - seconds).max(1e-3)
    }

    fn draw(&mut self, frame: &mut Frame) {
        let last = self.now.len().saturating_sub(1);
        let chosen = self.chosen.selected().unwrap_or(0).min(last);
        self.chosen.select(Some(chosen));
        let rows = (self.now.len() as u16 + 3).clamp(4, (frame.area().height / 2).max(4));
        let [title, processes, detail, keys] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(rows),
            Constraint::Min(0),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let count = match self.now.len() {
            1 => "  1 process".to_owned(),
            n => format!("  {n} processes"),
        };
        frame.render_widget(Line::from(vec!["aio-rs top".bold().cyan(), count.into()]), title);
        frame.render_widget("q ends, arrows choose a process".dim(), keys);
        if self.now.is_empty() {
            let text = "None that counts. Start one by: aio-rs run --stats COMMAND";
            frame.render_widget(Paragraph::new(text), processes);
            return;
        }
        let heading = [
            "PID",
            "NAME",
            "ENGINE",
            "CTX",
            "FLYING",
            "REQ/S",
            "inline",
            "ring",
            "uring",
            "threads",
            "SUBMIT p99",
            "EAGAIN",
        ];
        let table = Table::new(
            self.now.iter().map(|s| self.process(s)),
            [7, 15, 7, 5, 6, 8, 8, 8, 8, 8, 11, 7].map(Constraint::Length),
        )
        .header(Row::new(heading.into_iter().enumerate().map(cell)).bold().cyan())
        .row_highlight_style(Style::new().reversed())
        .block(Block::new().borders(ratatui::widgets::Borders::TOP));
        frame.render_stateful_widget(table, processes, &mut self.chosen);
        let sample = &self.now[chosen];
        frame.render_widget(self.detail(sample), detail);
    }

    fn process(&self, sample: &Sample) -> Row<'static> {
        let page = &sample.page;
        let inline = |p: &Page<u64>| Kind::ALL.iter().map(|k| p.inline(*k)).sum();
        let mut cells = vec![
            sample.pid.to_string(),
            sample.name.clone(),
            page.engine().to_owned(),
            page.contexts.to_string(),
            page.in_flight().to_string(),
            short(self.rate(sample, |p| p.accepted.iter().sum())),
            short(self.rate(sample, inline)),
        ];
        for way in [Way::Ring, Way::Uring, Way::Threads] {
            cells.push(short(self.rate(sample, |p| p.done_by(way))));
        }
        let before = self.before.iter().find(|b| b.pid == sample.pid);
        let times = match before {
            Some(before) => page.submit_time.since(&before.page.submit_time).percentile(0.99),
            None => page.submit_time.percentile(0.99),
        };
        cells.push(format!("{:.1} us", times as f64 / 1e3));
        cells.push((page.submits_eagain + page.setups_refused).to_string());
        Row::new(cells.into_iter().enumerate().map(cell))
    }

    /// All of one process, since it began.
    fn detail(&self, sample: &Sample) -> Paragraph<'static> {
        let mut text = String::new();
        let _ = crate::stats::summary::write(&sample.page, sample.seconds, &mut text);
        let title = format!(" {} {}: all {:.0} seconds ", sample.pid, sample.name, sample.seconds);
        Paragraph::new(text)
            .block(Block::new().borders(ratatui::widgets::Borders::TOP).title(title))
    }
}
