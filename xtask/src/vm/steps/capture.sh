# The tests of capture, one after another, where capture starts at all; without those that are about load, which an
# emulated processor has none to spare for.
portcullis doctor >/dev/null || exit 3
capture --test-threads=1 --skip under_load --skip when_many_connect $(cat /steps/filter)
