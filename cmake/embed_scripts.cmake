# SPDX-License-Identifier: MIT
# Turns shell scripts into one C string constant, so that they can be read, linted and tested as files.
#   cmake -DNAME=script_git -DHEADER=drivers/verbs/scripts.h -DOUT=x.c -DPARTS=lib.sh,gitlib.sh,git.sh -P embed_scripts.cmake
# Comment lines and indentation go: the text travels over every connection. So no here-documents in the parts.
string(REPLACE "," ";" parts "${PARTS}")
set(text "")
foreach(part IN LISTS parts)
    file(READ "${part}" one)
    string(APPEND text "${one}")
endforeach()
string(PREPEND text "\n")
string(REGEX REPLACE "\n[ \t]*#[^\n]*" "" text "${text}")
string(REGEX REPLACE "\n[ \t\n]+" "\n" text "${text}")
string(REGEX REPLACE "^\n" "" text "${text}")
string(REPLACE "\\" "\\\\" text "${text}")
string(REPLACE "\"" "\\\"" text "${text}")
string(REPLACE "\n" "\\n\"\n    \"" text "${text}")
file(WRITE "${OUT}" "#include \"${HEADER}\"\n\nconst char ${NAME}[] =\n    \"${text}\";\n")
