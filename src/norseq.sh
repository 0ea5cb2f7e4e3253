#!/bin/sh
# norseq [--] [PROG [ARG...]]: runs PROG with glibc's registration of restartable sequences (rseq(2)) off.
#
# It ends by exec: PROG has this process's id, and nothing stays in between. What it sets is named norseq_*, since
# a name that the environment has would be changed there.

norseq_version=0.1.0

# Says it on one line; what a terminal would obey becomes a question mark.
norseq_say() {
	norseq_text=$1 norseq_shown=
	while :; do
		case $norseq_text in
		*[[:cntrl:]]*)
			norseq_shown=$norseq_shown${norseq_text%%[[:cntrl:]]*}'?'
			norseq_text=${norseq_text#*[[:cntrl:]]}
			;;
		*) break ;;
		esac
	done
	printf 'norseq: %s\n' "$norseq_shown$norseq_text" >&2
}

norseq_fail() {
	norseq_say "$2"
	exit "$1"
}

case ${1-} in
--help | -h)
	printf '%s\n' \
		'Usage: norseq [--] [PROG [ARG...]]' \
		'' \
		"Runs PROG with glibc's registration of restartable sequences (rseq) off, in the same process. Without PROG" \
		'it is a shell: $SHELL, or that of the user database, or /bin/sh. All that PROG starts inherits it.' \
		'' \
		'CRIU before 3.17 and tools that patch its images cannot bring back a process that has registered one;' \
		'necromancer itself needs no norseq.' \
		'' \
		'  -h, --help     this text' \
		'  -V, --version  the version' \
		'' \
		'It adds glibc.pthread.rseq=0 to GLIBC_TUNABLES and keeps the other tunables there. glibc ignores them all in' \
		'set-user-ID programs. Programs without glibc 2.35 or newer register nothing anyway.' \
		'' \
		"Exit status: PROG's own; 125 when norseq itself fails, 126 when PROG cannot be run, 127 when it is not found."
	exit 0
	;;
--version | -V)
	printf 'norseq %s\n' "$norseq_version"
	exit 0
	;;
--)
	shift
	;;
-?*)
	norseq_fail 125 "unknown option $1; see norseq --help"
	;;
esac

# From glibc 2.39 on a single entry that is not name=value makes it ignore all of them.
norseq_tunables=
norseq_were=${GLIBC_TUNABLES-}
norseq_rest=$norseq_were
while [ -n "$norseq_rest" ]; do
	norseq_one=${norseq_rest%%:*}
	case $norseq_rest in
	*:*) norseq_rest=${norseq_rest#*:} ;;
	*) norseq_rest= ;;
	esac
	case $norseq_one in
	'' | glibc.pthread.rseq=*) ;;
	=* | *=*=*) norseq_say "GLIBC_TUNABLES: \"$norseq_one\" is left out, expected name=value" ;;
	*=*) norseq_tunables=$norseq_tunables$norseq_one: ;;
	*) norseq_say "GLIBC_TUNABLES: \"$norseq_one\" is left out, expected name=value" ;;
	esac
done
GLIBC_TUNABLES=${norseq_tunables}glibc.pthread.rseq=0
export GLIBC_TUNABLES

norseq_login_shell() {
	norseq_uid=$(command -p id -u) || return
	while IFS=: read -r norseq_name norseq_password norseq_id norseq_gid norseq_text norseq_home norseq_shell; do
		[ "$norseq_id" = "$norseq_uid" ] || continue
		printf '%s\n' "$norseq_shell"
		return
	done </etc/passwd
}

norseq_runs() { [ -f "$1" ] && [ -x "$1" ]; }

if [ $# -eq 0 ]; then
	norseq_shell=${SHELL-}
	norseq_runs "$norseq_shell" || norseq_shell=$(norseq_login_shell 2>/dev/null)
	norseq_runs "$norseq_shell" || norseq_shell=/bin/sh
	set -- "$norseq_shell"
fi

# Looked for here, since shells disagree on how they say that there is none.
norseq_path=
norseq_found=
case $1 in
*/*)
	[ -e "$1" ] && norseq_found=$1
	norseq_runs "$1" && norseq_path=$1
	;;
'') ;;
*)
	norseq_rest=${PATH-/bin:/usr/bin}:
	while [ -n "$norseq_rest" ] && [ -z "$norseq_path" ]; do
		norseq_one=${norseq_rest%%:*}
		norseq_rest=${norseq_rest#*:}
		norseq_one=${norseq_one:-.}/$1
		[ -z "$norseq_found" ] && [ -f "$norseq_one" ] && norseq_found=$norseq_one
		norseq_runs "$norseq_one" && norseq_path=$norseq_one
	done
	;;
esac
if [ -z "$norseq_path" ]; then
	[ -n "$norseq_found" ] || norseq_fail 127 "$1: no such program"
	norseq_fail 126 "$norseq_found: is not an executable file"
fi

# Prints the variables among its lines that no shell could name, quoted for eval.
# folklore: glibc before 2.39 ends the tunables it knows by NULs, right in the memory that /proc/PID/environ shows: what
# follows them there are no variables.
norseq_list_odd() {
	norseq_rest=
	while IFS= read -r norseq_line; do
		if [ -n "$norseq_rest" ]; then
			case $norseq_rest in
			":$norseq_line" | ":$norseq_line:"*)
				norseq_rest=${norseq_rest#":$norseq_line"}
				continue
				;;
			esac
			norseq_rest=
		fi
		case $norseq_line in
		GLIBC_TUNABLES=*) norseq_rest=${norseq_were#"${norseq_line#*=}"} ;;
		*=*)
			case ${norseq_line%%=*} in
			'' | [!A-Za-z_]* | *[!A-Za-z0-9_]*) ;;
			*) continue ;;
			esac
			printf " '"
			while :; do
				case $norseq_line in
				*\'*) ;;
				*) break ;;
				esac
				printf '%s%s' "${norseq_line%%\'*}" "'\\''"
				norseq_line=${norseq_line#*\'}
			done
			printf "%s'" "$norseq_line"
			;;
		esac
	done
}

# Some shells pass on only what they could have named themselves, and add what was not there: so the environment is
# set right from what this process was given. (A newline in it is \001 here.)
norseq_newline='
'
norseq_odd=
if [ -r /proc/$$/environ ]; then
	norseq_given=$(LC_ALL=C command -p tr '\000\n' '\n\001' </proc/$$/environ 2>/dev/null)
	norseq_odd=$(printf '%s\n' "$norseq_given" | norseq_list_odd | LC_ALL=C command -p tr '\001' '\n' 2>/dev/null)
	for norseq_one in PWD OLDPWD SHLVL PATH; do
		case $norseq_newline$norseq_given in
		*"$norseq_newline$norseq_one="*) ;;
		*) unset "$norseq_one" ;;
		esac
	done
fi

# exec takes a name that begins with - for an option, and finds nothing without PATH
case ${PATH+set}$1 in
set[!-]* | */*) ;;
*)
	shift
	set -- "$norseq_path" "$@"
	;;
esac

# env takes a program whose name holds = for a variable
case $norseq_odd in
?*)
	case $1 in
	*=*) ;;
	*)
		norseq_env=$(command -pv env) && eval "set -- \"\$norseq_env\" -- $norseq_odd \"\$@\""
		;;
	esac
	;;
esac
exec "$@"
