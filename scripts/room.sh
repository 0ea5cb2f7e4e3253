# The first process of a room: DIRECTORY becomes its /opt. It tells its id out here, while /proc is still ours; then it reaps whoever
# nobody waits for, until its standard input ends. All of /opt but the fixtures' directory stays as it is: other things may be
# installed there.
set -e
read -r pid rest </proc/self/stat
mount -t proc proc /proc
mount -t tmpfs tmpfs "$1"
for path in /opt/*; do
	[ -d "$path" ] && [ "$path" != /opt/victims ] || continue
	mkdir "$1/${path#/opt/}"
	mount --rbind "$path" "$1/${path#/opt/}"
done
mkdir "$1/victims"
mount --move "$1" /opt
echo "$pid"
exec env --ignore-signal=CHLD cat >/dev/null
