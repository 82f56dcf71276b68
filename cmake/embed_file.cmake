# SPDX-License-Identifier: MIT
# Turns a file into a C array, byte for byte:  cmake -DNAME=runner_text -DIN=x.sh -DOUT=x.c -P embed_file.cmake
file(READ "${IN}" hex HEX)
string(LENGTH "${hex}" length)
math(EXPR length "${length} / 2")
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((....,?.?){16})" "\\1\n" bytes "${bytes}")
file(WRITE "${OUT}" "extern const char ${NAME}[];\nextern const unsigned int ${NAME}_len;\n"
    "const char ${NAME}[] = {${bytes}0};\nconst unsigned int ${NAME}_len = ${length};\n")
