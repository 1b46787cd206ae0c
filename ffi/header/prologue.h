/* shmirror: tables in shared memory, for C.
 *
 * PROLOGUE TO BE WRITTEN
 *
 * This file is made from the library's source: change that, then `make header`.
 */
