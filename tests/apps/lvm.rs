//! LVM and the thin provisioning tools: they scan and write metadata through a
//! block cache on libaio. Nothing here needs the kernel's device mapper.

use crate::app::{App, BOTH, Figure};
use crate::job::Job;
use std::fmt::Write;
use std::fs::{self, File};
use std::process::Command;
use std::time::Duration;

pub const APPS: &[App] = &[
    App {
        name: "LVM",
        needs: &[("lvm2", "lvm"), ("mount", "losetup")],
        uses: "io_setup(256), one thread; all reads and writes of labels and metadata",
        set: "-",
        verified: "pvcreate, vgcreate, vgextend, vgreduce, pvck and scans on two loop devices; \
                   what vgs and pvs then say, also on the system's libaio",
        ways: BOTH,
        root: true,
        in_check: true,
        limit: Duration::from_secs(60),
        run: lvm,
    },
    App {
        name: "thin-provisioning-tools",
        needs: &[("thin-provisioning-tools", "thin_check")],
        uses: "a context of its block cache; writes in batches, reads ahead",
        set: "-",
        verified: "thin_restore of a pool with some 10000 mappings, thin_check, thin_repair; \
                   thin_dump gives the same pool; a damaged block is seen",
        ways: BOTH,
        root: false,
        in_check: true,
        limit: Duration::from_secs(60),
        run: thin,
    },
];

/// A loop device, until this is dropped.
struct Loop {
    device: String,
}

impl Loop {
    fn new(job: &Job, name: &str) -> Result<Self, String> {
        let file = File::create(job.path(name)).map_err(|e| e.to_string())?;
        file.set_len(64 << 20).map_err(|e| e.to_string())?;
        let said = job.must(job.plain("losetup").args(["--find", "--show", name]))?;
        Ok(Self { device: said.trim().to_owned() })
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let path = "/usr/bin:/usr/sbin:/sbin:/bin";
        let _ = Command::new("losetup").env("PATH", path).args(["-d", &self.device]).output();
    }
}

/// Files and directories of its own, and no other device of the host.
fn on_these(mut lvm: Command, disks: &[Loop], args: &[&str]) -> Command {
    let mut filter = String::new();
    for disk in disks {
        let _ = write!(filter, "\"a|^{}$|\", ", disk.device);
    }
    let config = format!(
        "devices {{ use_devicesfile=0 obtain_device_list_from_udev=0 filter=[{filter}\"r|.*|\"] \
         }} backup {{ backup=0 archive=0 }} activation {{ udev_sync=0 udev_rules=0 monitoring=0 }}"
    );
    lvm.args(&args[..1]).args(["--config", &config]).args(&args[1..]);
    lvm.env("LVM_SUPPRESS_FD_WARNINGS", "1");
    lvm
}

fn lvm(job: &Job) -> Result<Figure, String> {
    let disks = [Loop::new(job, "disk0")?, Loop::new(job, "disk1")?];
    let group = format!("aiors{}", std::process::id());
    let [a, b] = [&*disks[0].device, &*disks[1].device];
    let run = |args: &[&str]| job.must(&mut on_these(job.command("lvm"), &disks, args));
    let changes: [&[&str]; 7] = [
        &["pvcreate", "--yes", a],
        &["pvcreate", "--yes", b],
        &["vgcreate", &group, a],
        &["vgextend", &group, b],
        &["vgchange", "--addtag", "some", &group],
        &["pvck", a, b],
        &["vgck", &group],
    ];
    for args in changes {
        run(args)?;
    }
    let vgs = ["vgs", "--noheadings", "-o", "vg_name,pv_count,vg_tags,vg_size"];
    let wanted = [&group, "2", "some", "120.00m"];
    for said in [run(&vgs)?, job.must(&mut on_these(job.plain("lvm"), &disks, &vgs))?] {
        if said.split_whitespace().collect::<Vec<_>>() != wanted {
            return Err(format!("vgs: {said}"));
        }
    }
    run(&["vgreduce", &group, b])?;
    let said = run(&["pvs", "--noheadings", "-o", "pv_name,vg_name"])?;
    let words: Vec<&str> = said.split_whitespace().collect();
    // The second one is in no group any more.
    if words != [a, &group, b] {
        return Err(format!("pvs: {said}"));
    }
    run(&["vgremove", "--yes", &group])?;
    Ok("12 commands".into())
}

fn thin(job: &Job) -> Result<Figure, String> {
    let mappings = job.pick(10_000, 100_000);
    let mut pool = format!(
        "<superblock uuid=\"\" time=\"1\" transaction=\"1\" flags=\"0\" version=\"2\" \
         data_block_size=\"128\" nr_data_blocks=\"{}\">\n  <device dev_id=\"1\" \
         mapped_blocks=\"{mappings}\" transaction=\"0\" creation_time=\"0\" snap_time=\"1\">\n",
        2 * mappings
    );
    for n in 0..mappings {
        let at = n * 7919 % (2 * mappings);
        let _ = writeln!(
            pool,
            "    <single_mapping origin_block=\"{}\" data_block=\"{at}\" time=\"0\"/>",
            3 * n
        );
    }
    pool += "  </device>\n</superblock>\n";
    fs::write(job.path("pool.xml"), &pool).map_err(|e| e.to_string())?;
    for name in ["metadata", "repaired"] {
        let file = File::create(job.path(name)).map_err(|e| e.to_string())?;
        file.set_len(32 << 20).map_err(|e| e.to_string())?;
    }
    job.must(job.command("thin_restore").args(["-i", "pool.xml", "-o", "metadata"]))?;
    job.must(job.command("thin_check").arg("metadata"))?;
    job.must(job.command("thin_repair").args(["-i", "metadata", "-o", "repaired"]))?;
    for name in ["metadata", "repaired"] {
        if job.must(job.command("thin_dump").arg(name))? != pool {
            return Err(format!("{name} is another pool"));
        }
    }
    let mut data = fs::read(job.path("metadata")).map_err(|e| e.to_string())?;
    // The first leaf with mappings is somewhere behind the superblock.
    let block =
        (4096..data.len()).step_by(4096).rev().find(|at| data[*at..*at + 4096] != [0; 4096]);
    data[block.ok_or("no metadata")? + 2000] ^= 1;
    fs::write(job.path("metadata"), data).map_err(|e| e.to_string())?;
    match job.must(job.command("thin_check").arg("metadata")) {
        Err(_) => Ok(format!("{mappings} mappings")),
        Ok(_) => Err("a damaged block was not seen".into()),
    }
}
