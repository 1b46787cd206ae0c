/* Two archives, each with Rust's own library in it: a failure here and a panic there. */
#include <shmirror.h>

int second_rust_panics(void);

int main(void)
{
    shmirror_options *options = NULL;
    shmirror_mirror *mirror = NULL;
    if (shmirror_options_new(&options) != SHMIRROR_OK ||
        shmirror_options_socket(options, "/nonexistent") != SHMIRROR_OK) {
        return 1;
    }
    if (shmirror_attach(options, &mirror) != SHMIRROR_NO_DAEMON || mirror != NULL) {
        return 2;
    }
    return second_rust_panics() == 1 ? 0 : 3;
}
