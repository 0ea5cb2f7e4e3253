# The process of the demo where Node cannot be it. What it knows is nowhere but in its memory: a secret, and a list that grows.
# It makes no other process, and waits by counting.
log=$1 secret=$$$(date +%s) since=$(date +%H:%M:%S)
set --
while :; do
	i=0
	while [ $i -lt 20000 ]; do i=$((i + 1)); done
	set -- "$@" "$i"
	echo "round $#: secret $secret, $# entries since $since" >>"$log"
done
