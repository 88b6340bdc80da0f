//! The guard itself: programs added beside it, and its links and maps taken away.

use std::fs;

use super::{Attempt, dial, needs, udp};
use crate::{
    bpf,
    scene::Scene,
    sys::{At, Tried},
};

pub const ALL: &[Attempt] = &[
    Attempt::new("bpf-second-connect", "another connect4 on its own cgroup, which undoes the redirection", |scene| {
        bpf::lead_connects_to(&scene.own_cgroup, scene.far())?;
        dial(scene)
    }),
    Attempt::new("bpf-map", "make a BPF map", |_| bpf::make_map()).by_consent().root_needs(needs::CGROUPS),
    Attempt::new("bpf-sockmap", "a map of sockets, by which programs pass bytes from one to another", |_| {
        bpf::make_socket_map()
    })
    .by_consent()
    .root_needs(needs::CGROUPS),
    Attempt::new("bpf-pinned-map", "the guard's own settings, by their pin, for writing", |scene| {
        bpf::open_pin(&format!("{}/SETTINGS", scene.maps))
    })
    .by_consent()
    .root_needs(needs::CGROUPS),
    Attempt::new("bpf-pinned-link", "a link of the guard by its pin, to put another program into it", |scene| {
        bpf::open_pin(&format!("{}/connect4", scene.links))
    })
    .by_consent()
    .root_needs(needs::CGROUPS),
    Attempt::new("bpf-link-detach", "find the links by number, and detach them", |scene| {
        if scene.governed {
            bpf::detach_links_of(&scene.own_cgroup)?;
        }
        udp::to(scene, scene.far())
    })
    .root_needs(needs::CGROUPS)
    .breaking(),
    // The daemon holds the floor's link itself as long as it runs.
    Attempt::new("pins-removed", "remove the pins of the links", |scene| {
        if scene.governed {
            remove_pins(scene)?;
        }
        udp::to(scene, scene.far())
    })
    .breaking(),
];

fn remove_pins(scene: &Scene) -> Tried {
    for entry in fs::read_dir(&scene.links).at("read")? {
        fs::remove_file(entry.at("read")?.path()).at("unlink")?;
    }
    // The kernel lets go of a link some moments after its last reference.
    std::thread::sleep(crate::sys::PATIENCE);
    Ok(())
}
