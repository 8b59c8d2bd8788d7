// Package instance keeps the files of the instances below one directory,
// /var/lib/left4me by default:
//
//	installation/                the game; written by the install unit alone
//	overlays/NAME/               add-on layers, read only
//	instances/NAME/              root's, 0700
//	  settings.json              all that is needed to adopt the instance again
//	  instance.env               what the unit reads at its start
//	  secrets                    of RCON, for joining, of Steam; nowhere else stored
//	  layers/N/left4dead2/cfg/   the settings layer, the topmost of the mount
//	runtime/NAME/                root's, 0700
//	  upper/                     what the game wrote; its own uid's
//	  work/                      overlayfs' own
//	  merged/                    where the tree is mounted
//	backups/NAME/ID.tar.gz       root's, 0700; the settings, then what the unit adds
//
// A game is hostile: nothing here opens, changes or removes anything below
// upper. Every step that makes or unmakes an instance can be the last one
// before a power cut; doing the whole again always ends the same.
package instance
