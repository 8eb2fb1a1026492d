//! Real containers on this host, through the same calls that the engine makes. Root and Debian's busybox-static are needed.

mod adopt;
mod host;
mod image;
mod life;
mod limits;
mod logs;
mod safety;
mod usage;
mod walls;
mod walls_cgroup;
