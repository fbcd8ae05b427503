//! An invariant in a process of its own, so that a crash, an exit or a hang of the library is a finding.
//!
//! The child writes into a folder: `case.json` before each case, `pulse` after each call of the library, `report.json` at its
//! end. Standard output is no channel, since a library may write to it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::invariant::{Finding, Invariant, Verdict};
use crate::Error;
use sextant_records::FileError;

/// Processes that shrinking after a crash may start, and how long it may take.
const ATTEMPTS: usize = 40;
const SHRINKING: Duration = Duration::from_secs(30);

/// A child process's report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// The invariant was tried.
    Found(Finding),
    /// There was nothing to try: the library cannot be loaded, or refuses its configuration.
    Refused(String),
}

/// The child's side.
#[derive(Clone, Debug)]
pub struct Reporter {
    folder: PathBuf,
}

impl Reporter {
    /// Reports into a folder that the parent made.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Notes the case that comes next. A failure to write costs the parent the case, and nothing else.
    pub fn case(&self, case: &Case) {
        let json = serde_json::to_vec(case).unwrap_or_default();
        let _ = fs::write(self.folder.join("case.json"), json);
    }

    /// A function to call as a sign of life; it writes a few times a second.
    pub fn pulse(&self) -> impl Fn() + Send + Sync + 'static {
        let (path, began, last) = (self.folder.join("pulse"), Instant::now(), AtomicU64::new(0));
        move || {
            let now = began.elapsed().as_millis() as u64;
            if now >= last.load(Ordering::Relaxed) + 100 {
                last.store(now, Ordering::Relaxed);
                let _ = fs::write(&path, now.to_string());
            }
        }
    }

    /// Ends the report.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn end(&self, report: &Report) -> Result<(), Error> {
        let path = self.folder.join("report.json");
        let json = serde_json::to_vec(report).map_err(|error| FileError::new(&path, error))?;
        Ok(sextant_records::write_whole(&path, &json)?)
    }
}

/// The parent's side: how children are started, and how long they may be silent.
#[derive(Clone, Debug)]
pub struct Isolation {
    /// The program, which calls [`Reporter`] when it is given `--report FOLDER`.
    pub program: PathBuf,
    /// Its arguments, but for `--only`, `--case` and `--report`.
    pub arguments: Vec<OsString>,
    /// The longest time that one call of the library may take.
    pub limit: Duration,
}

/// A child's end without a report.
struct Death {
    how: String,
    case: Option<Case>,
    hung: bool,
}

impl Death {
    /// The reason not to start another process after this, if there is one: a hang costs the whole limit each time, and what dies
    /// before the first case does so always.
    fn hopeless(&self, invariant: &str) -> Option<String> {
        let how = match (self.hung, &self.case) {
            (true, _) => "hangs",
            (false, None) => "ends the process before the first case",
            (false, Some(_)) => return None,
        };
        Some(format!("not tried, since the library {how}: see {invariant}"))
    }

    /// The finding, on the case that was given or else on the one that was tried last.
    fn finding(self, invariant: &str, given: Option<&Case>) -> Finding {
        Finding {
            invariant: invariant.to_owned(),
            verdict: Verdict::Broken {
                reason: self.how,
                failed: true,
                case: self.case.or_else(|| given.cloned()).map(Box::new),
            },
        }
    }
}

impl Isolation {
    /// Tries invariants one after the other, on one case if given, and tells each finding at once, with those before it.
    ///
    /// After a hang, or a death before the first case, the others are not tried.
    ///
    /// # Errors
    /// A child that cannot be started, or a source with which there is nothing to try.
    pub fn hold(
        &self,
        invariants: &[Invariant],
        case: Option<&Case>,
        mut tell: impl FnMut(&Finding, &[Finding]),
    ) -> Result<Vec<Finding>, Error> {
        let (mut findings, mut hopeless) = (Vec::new(), None::<String>);
        for invariant in invariants {
            let name = invariant.name;
            let finding = match &hopeless {
                Some(reason) => Finding {
                    invariant: name.to_owned(),
                    verdict: Verdict::NotJudged { reason: reason.clone() },
                },
                None => match self.child(name, case)? {
                    Ok(Report::Refused(reason)) => return Err(Error::Input(reason)),
                    Ok(Report::Found(finding)) => finding,
                    Err(death) => {
                        hopeless = death.hopeless(name);
                        // A hang costs the whole limit each time, and what is known is no news.
                        let hung = death.hung;
                        let mut finding = death.finding(name, case);
                        let shrinks = case.is_none() && !hung && finding.known_from(&findings).is_none();
                        if let Verdict::Broken { case: Some(found), .. } = &mut finding.verdict
                            && shrinks
                        {
                            **found = self.shrink(name, Case::clone(found))?;
                        }
                        finding
                    }
                },
            };
            tell(&finding, &findings);
            findings.push(finding);
        }
        Ok(findings)
    }

    /// The simplest case found that still kills the child; the case itself if it does not alone.
    fn shrink(&self, invariant: &str, case: Case) -> Result<Case, Error> {
        let (began, mut attempts) = (Instant::now(), 0);
        let mut least = case;
        'shrinking: loop {
            for simpler in least.simpler() {
                if attempts >= ATTEMPTS || began.elapsed() > SHRINKING {
                    break 'shrinking;
                }
                attempts += 1;
                if matches!(self.child(invariant, Some(&simpler))?, Err(Death { hung: false, .. })) {
                    least = simpler;
                    continue 'shrinking;
                }
            }
            break;
        }
        Ok(least)
    }

    fn child(&self, invariant: &str, case: Option<&Case>) -> Result<Result<Report, Death>, Error> {
        let folder = tempfile::tempdir().map_err(|error| FileError::new(std::env::temp_dir(), error))?;
        let errors = folder.path().join("stderr");
        let stderr = File::create(&errors).map_err(|error| FileError::new(&errors, error))?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(["--only", invariant]);
        if let Some(case) = case {
            let json = serde_json::to_string(case).map_err(|error| Error::Input(error.to_string()))?;
            command.args(["--case", &json]);
        }
        command.arg("--report").arg(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let mut child = command.spawn().map_err(|error| FileError::new(&self.program, error))?;
        let status = self.wait(&mut child, folder.path());
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        let report = serde_json::from_str::<Report>(&read("report.json")).ok();
        let how = match (status, report) {
            (Some(status), Some(report)) if status.success() => return Ok(Ok(report)),
            (Some(status), Some(Report::Found(_))) => {
                format!("the library {} when the process ended", ended(status))
            }
            (Some(status), _) => {
                let when = if case_of(folder.path()).is_none() {
                    " before the first case"
                } else {
                    ""
                };
                format!("the library {}{when}{}", ended(status), last_words(&read("stderr")))
            }
            (None, _) => format!(
                "the library hangs: a call took more than {} s",
                self.limit.as_secs_f64()
            ),
        };
        Ok(Err(Death {
            how,
            case: case_of(folder.path()),
            hung: status.is_none(),
        }))
    }

    /// The child's end; none if it was silent for too long, and was killed.
    fn wait(&self, child: &mut Child, folder: &Path) -> Option<ExitStatus> {
        let signs = || {
            ["case.json", "pulse", "report.json"]
                .map(|name| fs::metadata(folder.join(name)).and_then(|m| m.modified()).ok())
        };
        let (mut seen, mut since, mut pause) = (signs(), Instant::now(), Duration::from_millis(1));
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(status);
            }
            let now = signs();
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            if since.elapsed() > self.limit {
                // It may have ended by itself in between.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }
}

/// The case that a child tried last.
fn case_of(folder: &Path) -> Option<Case> {
    serde_json::from_slice(&fs::read(folder.join("case.json")).ok()?).ok()
}

/// The end of a process in words.
fn ended(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let name = match signal {
            4 => " (SIGILL)",
            6 => " (SIGABRT)",
            7 => " (SIGBUS)",
            8 => " (SIGFPE)",
            9 => " (SIGKILL)",
            11 => " (SIGSEGV)",
            _ => "",
        };
        return format!("crashed: signal {signal}{name}");
    }
    match status.code() {
        Some(code) => format!("ended the process with exit code {code}"),
        None => "ended the process".into(),
    }
}

/// The last line that the child wrote, as it may say why.
fn last_words(stderr: &str) -> String {
    match stderr.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("; its last words: {}", line.trim()),
        None => String::new(),
    }
}
