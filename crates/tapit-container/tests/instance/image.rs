//! What a container is made from: layers, users, files of its own; and images that mean harm.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tapit_container::instance::{Fault, LaunchError};

use crate::host::Host;

#[tokio::test]
async fn layers_lie_on_one_another_and_none_is_written_to() {
    let host = Host::new();
    let upper = host.empty_layer("upper,with:odd\\name");
    fs::write(upper.join("file"), "from the upper layer\n").expect("a file");
    fs::write(host.layer().join("file"), "from the lower layer\n").expect("a file");
    let (dir, mut order) =
        host.order(&["sh", "-c", "cat /file; echo changed > /file; cat /file; touch /new; cd /; ls"]);
    order.layers.push(upper.clone());
    let instance = host.start(dir, order).await;
    assert_eq!(instance.exit().await.code, Some(0));
    let texts = instance.texts();
    assert_eq!(texts[..2], ["from the upper layer", "changed"]);
    assert!(texts.contains(&"new".to_owned()));
    assert_eq!(fs::read_to_string(upper.join("file")).expect("reads"), "from the upper layer\n");
    assert!(!host.layer().join("new").exists() && !host.layer().join("dev").exists());
}

#[tokio::test]
async fn as_many_layers_as_overlayfs_takes_can_be_mounted() {
    let host = Host::new();
    let (dir, mut order) = host.order(&["cat", "/n"]);
    for n in 1..500 {
        let layer = host.empty_layer(&format!("layer-with-a-name-as-long-as-a-digest-{n:0>64}"));
        fs::write(layer.join("n"), format!("{n}\n")).expect("a file");
        order.layers.push(layer);
    }
    let layers = order.layers.clone();
    let instance = host.start(dir, order).await;
    assert_eq!(instance.exit().await.code, Some(0), "{:?}", instance.texts());
    assert_eq!(instance.texts(), ["499"]);
    let (dir, mut too_many) = host.order(&["cat", "/n"]);
    too_many.layers = layers;
    too_many.layers.push(host.empty_layer("one-too-many"));
    match host.try_start(dir, too_many).await.map(|_| ()) {
        Err(LaunchError::Failed { fault: Fault::Image, text, .. }) => assert!(text.contains("501 layers"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn as_many_layers_as_overlayfs_takes_can_be_mounted_without_a_user_namespace() {
    let host = Host::new();
    let (dir, mut order) = host.order(&["cat", "/n"]);
    order.ids = None;
    for n in 1..500 {
        let layer = host.empty_layer(&format!("{n}"));
        fs::write(layer.join("n"), format!("{n}\n")).expect("a file");
        order.layers.push(layer);
    }
    let instance = host.start(dir, order).await;
    assert_eq!(instance.exit().await.code, Some(0), "{:?}", instance.texts());
    assert_eq!(instance.texts(), ["499"]);
}

#[tokio::test]
async fn a_program_finds_its_user_directory_environment_and_names() {
    let host = Host::new();
    let script =
        "id -u; id -g; id -G; echo $HOME $GREETING $PATH; pwd; hostname; cat /etc/hosts /etc/resolv.conf /etc/hostname";
    let (dir, mut order) = host.order(&["sh", "-c", script]);
    order.user = "app".into();
    order.cwd = "/srv/made for/it".into();
    let instance = host.start(dir, order).await;
    assert_eq!(instance.exit().await.code, Some(0));
    let expected = [
        "1000",
        "1000",
        "1000 77",
        "/tmp hello /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "/srv/made for/it",
        "web-1",
        "127.0.0.1 localhost",
        "nameserver 10.0.0.1",
        "web-1",
    ];
    assert_eq!(instance.texts(), expected);
}

#[tokio::test]
async fn an_image_that_would_lead_mounts_to_the_host_is_refused_and_the_host_untouched() {
    let host = Host::new();
    let victim = host.path().join("victim");
    fs::create_dir(&victim).expect("a directory");
    let up = format!("../../../../../../../../../..{}", victim.display());
    for name in ["dev", "proc", "sys", "etc"] {
        for (nth, target) in [victim.to_string_lossy().as_ref(), up.as_str(), "tmp"].into_iter().enumerate() {
            let layer = host.empty_layer(&format!("evil-{name}-{nth}"));
            symlink(target, layer.join(name)).expect("a link");
            let (dir, mut order) = host.order(&["true"]);
            order.layers.push(layer);
            match host.try_start(dir.clone(), order).await.map(|_| ()) {
                Err(LaunchError::Failed { fault: Fault::Image, text, .. }) => {
                    assert!(text.contains(&format!("/{name} is a symbolic link")), "{text}");
                }
                other => panic!("{name}: {other:?}"),
            }
            dir.remove().expect("removes");
        }
    }
    let file = host.empty_layer("file");
    fs::write(file.join("dev"), "").expect("a file");
    let (dir, mut order) = host.order(&["true"]);
    order.layers.push(file);
    assert!(matches!(host.try_start(dir, order).await, Err(LaunchError::Failed { fault: Fault::Image, .. })));
    assert_eq!(fs::read_dir(&victim).expect("lists").count(), 0);
}

#[tokio::test]
async fn links_in_etc_are_replaced_and_lists_are_only_read_inside() {
    let host = Host::new();
    let victim = host.path().join("victim");
    fs::write(&victim, "app:x:0:0::/:/bin/sh\nuntouched\n").expect("a file");
    let layer = host.empty_layer("evil");
    fs::create_dir(layer.join("etc")).expect("a directory");
    for name in ["hosts", "resolv.conf", "hostname"] {
        symlink(&victim, layer.join("etc").join(name)).expect("a link");
    }
    // Inside the container there is no such path, so there are no users either.
    symlink(&victim, layer.join("etc/passwd")).expect("a link");
    let (dir, mut order) = host.order(&["cat", "/etc/hosts"]);
    order.layers.push(layer);
    let mut named = order.clone();
    named.user = "app".into();
    let instance = host.start(dir, order).await;
    assert_eq!(instance.exit().await.code, Some(0));
    assert_eq!(instance.texts(), ["127.0.0.1 localhost"]);
    let (dir, other) = host.order(&["true"]);
    named.cgroup = other.cgroup;
    match host.try_start(dir, named).await.map(|_| ()) {
        Err(LaunchError::Failed { text, .. }) => assert!(text.contains("does not know"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert!(fs::read_to_string(&victim).expect("reads").ends_with("untouched\n"));
}

#[tokio::test]
async fn odd_files_in_place_of_the_user_list_give_an_error_and_no_hang() {
    let host = Host::new();
    let refused = async |name: &str, make: &dyn Fn(&Path)| {
        let layer = host.empty_layer(name);
        fs::create_dir(layer.join("etc")).expect("a directory");
        make(&layer.join("etc/passwd"));
        let (dir, mut order) = host.order(&["true"]);
        order.layers.push(layer);
        match host.try_start(dir, order).await.map(|_| ()) {
            Err(LaunchError::Failed { fault: Fault::Image, text, .. }) => {
                assert!(text.contains("etc/passwd"), "{text}")
            }
            other => panic!("{name}: {other:?}"),
        }
    };
    refused("fifo", &|path| {
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o644);
        nix::unistd::mkfifo(path, mode).expect("a fifo");
    })
    .await;
    refused("directory", &|path| fs::create_dir(path).expect("a directory")).await;
    refused("huge", &|path| {
        fs::File::create(path).and_then(|file| file.set_len(100 * 1024 * 1024 * 1024)).expect("a sparse file");
    })
    .await;
}

#[tokio::test]
async fn files_that_are_not_executable_for_the_user_stay_so() {
    let host = Host::new();
    let layer = host.empty_layer("private");
    fs::write(layer.join("run"), "#!/bin/sh\necho ran\n").expect("a file");
    fs::set_permissions(layer.join("run"), fs::Permissions::from_mode(0o700)).expect("a mode");
    for (user, code) in [("", 0), ("app", 126)] {
        let (dir, mut order) = host.order(&["/run"]);
        order.layers.push(layer.clone());
        order.user = user.into();
        let instance = host.start(dir, order).await;
        assert_eq!(instance.exit().await.code, Some(code), "{user:?}");
    }
}
