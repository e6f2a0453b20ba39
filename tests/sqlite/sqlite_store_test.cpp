#include "falproxy/sqlite_store.hpp"

#include <doctest/doctest.h>

#include "folder.hpp"
#include "support/store_laws.hpp"

using namespace falproxy;

TEST_CASE("a store in a file keeps to the laws of every store") {
  tests::check_store_laws([](void (*law)(StateStore&)) {
    const tests::Folder folder;
    const auto store = tests::opened(folder);
    law(*store);
  });
}
