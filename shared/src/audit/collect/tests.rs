use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::super::facts::tests::{gathered, tree};
use super::*;
use crate::gateway::scratch::Scratch;

/// A directory of its own, away at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let name = format!("pptp-collect-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn collect(&self, root: &Root) -> Manifest {
        collect(root, &self.0, Instant::now() + Duration::from_secs(60)).unwrap()
    }

    /// Every file, with what is in it.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut waiting = vec![self.0.clone()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(&directory).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => waiting.push(entry.path()),
                    false => found.push((entry.path(), fs::read(entry.path()).unwrap())),
                }
            }
        }
        found
    }

    fn has_secret(&self) -> bool {
        let is_there = |text: &[u8]| memchr::memmem::find(text, b"s3cret").is_some();
        self.files().iter().any(|(_, text)| is_there(text))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The tree of Debian, with everything that is hard to copy.
fn strange() -> Scratch {
    let tree = tree("debian-poptop");
    tree.change("etc/ppp/options", |text| {
        text.extend(
            b"# password s3cret\nname \"with blank # and \\\" quote\" ''\nipparam 'two\nlines'\n\
              \\\n  mru 1400 # password s3cret\npassword s3cret\nauth\n\
              connect '/usr/sbin/chat -v \"\" s3cret'\nfile /etc/ppp/empty\ncall isp\n\
              password\n  s3cret\ndomain \\377\\001x\n",
        );
    });
    tree.change("etc/ppp/empty", |text| text.extend(b"# nothing but s3cret\n"));
    tree.change("etc/ppp/peers/isp", |text| text.extend(b"file /etc/ppp/../ppp/more\n"));
    tree.change("etc/ppp/more", |text| text.extend(b"novj\n"));
    tree.change("etc/pptpd.conf", |text| text.extend(b"# s3cret\n stimeout 10\ndebug\n"));
    tree.change("etc/ppp/chap-secrets", |text| text.extend(b"user * s3cret *\n"));
    tree.change("etc/accel-ppp.conf", |text| {
        text.extend(
            b"# s3cret\n[modules]\npptp\n[radius]\nserver=10.0.0.1,s3cret,auth-port=1812\n\
              dae-server = 127.0.0.1:3799,s3cret\n[cli]\npassword=s3cret\ntcp=127.0.0.1:2001\n\
              [chap-secrets]\nchap-secrets=/etc/ppp/chap-secrets\n[x]\nopt=1 {\n  \
              password=s3cret\n}\nafter=1\n$include /etc/accel.d/x.conf\n",
        );
    });
    tree.change("etc/accel.d/x.conf", |text| text.extend(b"[radius]\nserver=10.0.0.2,s3cret\n"));
    for file in ["nft.txt", "secrets.txt"] {
        tree.remove(&format!("pptp-monitor/{file}"));
    }
    tree
}

#[test]
fn collected_tree_tells_the_same() {
    for name in ["debian-poptop", "ubuntu-accel-ppp", "openwrt-poptop"] {
        let tree = tree(name);
        let place = Place::new(name);
        let manifest = place.collect(&tree.root());
        assert_eq!(gathered(&Root::new(&place.0)), gathered(&tree.root()), "{name}");
        assert_eq!(manifest.files, place.files().len());
        assert_eq!(Manifest::read(&Root::new(&place.0)), manifest);
    }
}

#[test]
fn strange_options_are_the_same_and_secrets_stay() {
    let tree = strange();
    let place = Place::new("strange");
    let manifest = place.collect(&tree.root());
    let missing: Vec<_> = manifest.unread.iter().collect();
    assert_eq!(
        missing[0],
        (&PathBuf::from("etc/ppp/../ppp/more"), &"its path is not plain".to_owned())
    );
    assert!(!place.has_secret());
    // That file is the one thing that is left behind.
    tree.change("etc/ppp/peers/isp", |text| *text = b"novj\n".to_vec());
    let again = Place::new("strange-again");
    again.collect(&tree.root());
    let (here, there) = (gathered(&tree.root()), gathered(&Root::new(&again.0)));
    assert_eq!(here, there);
    assert_eq!(here.poptop.get().unwrap().pppd.trouble, None);
    assert_eq!(here.secrets_files.len(), 2);
}

#[test]
fn secret_of_a_file_that_goes_on_with_a_section_stays() {
    assert_eq!(configuration(b"server=10.0.0.2,s3cret\n"), b"server=10.0.0.2,********\n");
}

#[test]
fn nobody_else_may_read_it_and_nothing_is_overwritten() {
    let tree = tree("debian-poptop");
    let place = Place::new("modes");
    place.collect(&tree.root());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.0), 0o700);
    assert!(place.files().iter().all(|(path, _)| mode(path) == 0o600));
    let deadline = Instant::now() + Duration::from_secs(60);
    let error = collect(&tree.root(), &place.0, deadline).unwrap_err();
    assert!(error.ends_with(": directory not empty"), "{error}");
    let error = collect(&tree.root(), Path::new("/proc/none"), deadline).unwrap_err();
    assert!(error.starts_with("cannot collect into /proc/none: "), "{error}");
}

#[test]
fn script_collects_the_same() {
    let tree = strange();
    tree.change("etc/ppp/peers/isp", |text| *text = b"novj\n".to_vec());
    let script = Place::new("script");
    fs::create_dir(&script.0).unwrap();
    let script_file = script.0.join("collect.sh");
    fs::write(&script_file, collect_script()).unwrap();
    for shell in [&["sh"][..], &["busybox", "sh"], &["bash"]] {
        let place = Place::new(&format!("script-{}", shell.join("-")));
        fs::create_dir(&place.0).unwrap();
        let run = Command::new(shell[0])
            .args(&shell[1..])
            .arg(&script_file)
            .env("PPTP_MONITOR_ROOT", tree.place(""))
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut run) = run else {
            eprintln!("skipped: no {}", shell[0]);
            continue;
        };
        let tar = run.stdout.take().unwrap();
        let mut unpack = Command::new("tar");
        unpack.args(["-xf", "-", "-C"]).arg(&place.0).stdin(tar);
        assert!(unpack.status().unwrap().success());
        assert!(run.wait().unwrap().success());
        assert!(!place.has_secret(), "{shell:?}");
        let root = Root::new(&place.0);
        assert_eq!(Manifest::read(&root).unread, BTreeMap::new());
        let (here, there) = (gathered(&tree.root()), gathered(&root));
        // Masked to the end of the line, arguments are one word.
        let names = |facts: &facts::Facts| {
            let list = &facts.poptop.get().unwrap().pppd.list;
            list.iter().map(|setting| (setting.name.clone(), setting.line)).collect::<Vec<_>>()
        };
        assert_eq!(names(&there), names(&here));
        assert_eq!(there.accel_ppp, here.accel_ppp);
        assert_eq!(there.secrets_files, here.secrets_files);
        assert_eq!(there.conntrack, here.conntrack);
        assert_eq!(there.control_sockets, here.control_sockets);
        assert_eq!(there.interfaces, here.interfaces);
        assert_eq!(there.modules, here.modules);
        assert_eq!(there.kernel, here.kernel);
        assert_eq!(there.host, here.host);
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_configuration_is_copied_line_for_line(octets: Vec<u8>) {
        let clean = configuration(&octets);
        let before: Vec<_> = parts(&octets)
            .filter(|(_, part)| matches!(part, Part::Section(_)))
            .map(|(line, _)| line)
            .collect();
        let after: Vec<_> = parts(&clean)
            .filter(|(_, part)| matches!(part, Part::Section(_)))
            .map(|(line, _)| line)
            .collect();
        proptest::prop_assert_eq!(before, after);
    }

    #[test]
    fn arbitrary_command_line_keeps_its_words(octets: Vec<u8>) {
        let count = |text: &[u8]| text.iter().filter(|octet| **octet == 0).count();
        proptest::prop_assert_eq!(count(&hidden(&octets)), count(&octets));
    }
}
