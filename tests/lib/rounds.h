/* rounds.h - how often a test does the same again. Under gcc's sanitizers each round takes many times as long and looks at more:
 * fewer are enough there, since the plain build runs them all. */
#ifndef JQ_TESTS_LIB_ROUNDS_H
#define JQ_TESTS_LIB_ROUNDS_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ROUNDS(count) (((count) + 4) / 5)
#else
#define ROUNDS(count) (count)
#endif

#endif
