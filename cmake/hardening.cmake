# SPDX-License-Identifier: MIT
# What every build gets against memory errors, whatever its type. Compilers and machines that lack one go without it.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
include(CheckLinkerFlag)
include(CheckPIESupported)

check_pie_supported(LANGUAGES C)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection)
    string(MAKE_C_IDENTIFIER "RELEASE_HAS${flag}" has)
    check_c_compiler_flag(${flag} ${has})
    if(${has})
        add_compile_options(${flag})
    endif()
endforeach()
foreach(flag -z,relro -z,now -z,noexecstack)
    string(MAKE_C_IDENTIFIER "RELEASE_LINKS${flag}" has)
    check_linker_flag(C "-Wl,${flag}" ${has})
    if(${has})
        add_link_options("-Wl,${flag}")
    endif()
endforeach()

# The C library's checks of buffer sizes need an optimizer, and get in the way of the sanitizers. Level 3 where compiler and
# library know it: the library warns where they do not.
set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
check_c_source_compiles("#include <string.h>\nint main(void) { return (int)strlen(\"\"); }" RELEASE_FORTIFY_3)
unset(CMAKE_REQUIRED_FLAGS)
if(NOT RELEASE_SANITIZE)
    set(level $<IF:$<BOOL:${RELEASE_FORTIFY_3}>,3,2>)
    set(optimized $<CONFIG:Release,RelWithDebInfo,MinSizeRel>)
    add_compile_options($<${optimized}:-U_FORTIFY_SOURCE> $<${optimized}:-D_FORTIFY_SOURCE=${level}>)
endif()
