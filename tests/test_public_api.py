"""The public names. A change to one also changes this list, and is announced to users."""

import doctest
import inspect
import subprocess
import sys

import numpy as np
import pytest

import tegula
import tegula.asdf
import tegula.stores

NAMES = """
Array ArraySubset AsdfFile CacheInfo ChunkCache CodecOptions CorruptDataError DamagedWarning Error Explanation
FilesystemStore Group
InterruptedError InvalidMetadataError InvalidSelectionError MemoryStore
    NotFoundError OutOfMemoryError PartialDecoder PartialEncoder RemoteStore
StoreError UnsupportedError Validation VariableArray WriteSession ZipStore __version__ config consolidate_metadata
array copy create_array create_group delete empty empty_like full full_like group load ones ones_like open
open_array open_asdf open_group rechunk register_codec save show_versions validate zeros zeros_like
"""

MEMBERS = {
    "Array": """
        append attrs basename blocks cache cache_info cdata_shape chunk_exists chunk_grid_shape chunk_key chunk_origin
        chunk_shape chunk_subset chunk_subset_bounded chunks chunks_in_array_subset chunks_subset chunks_subset_bounded
        codecs compact compact_chunk compressor compressors copy_to data_type dimension_names dtype erase_chunk
        erase_chunks erase_metadata explain fields fill_value filters get_basic_selection get_block_selection
        get_coordinate_selection get_mask_selection get_orthogonal_selection info info_complete inner_chunk_grid_shape
        inner_chunk_shape is_sharded map_chunks metadata name nbytes nbytes_stored nchunks nchunks_initialized ndim
        oindex options order partial_decoder partial_encoder path read_only resize retrieve_array_subset
        retrieve_array_subsets retrieve_chunk retrieve_chunk_if_exists retrieve_chunk_subset retrieve_chunks
        retrieve_encoded_chunk retrieve_encoded_chunks retrieve_encoded_inner_chunk retrieve_inner_chunk
        retrieve_inner_chunks retrieve_variable serializer set_basic_selection set_block_selection
        set_coordinate_selection set_mask_selection set_orthogonal_selection shape shards size store store_array_subset
        store_chunk store_chunk_subset store_chunks store_encoded_chunk store_path subset_all tobytes update_attributes
        vindex with_cache with_options with_string_dtype write_session zarr_format
    """,
    "ArraySubset": """
        bound contains end_exc end_inc inbounds indices is_empty ndim new_empty new_with_ranges new_with_shape
        new_with_start_end_exc new_with_start_end_inc new_with_start_shape num_elements overlap relative_to shape start
        to_slices
    """,
    "Group": """
        array_keys array_values arrays attrs basename create_array create_dataset create_group create_hierarchy empty
        empty_like full full_like get group_keys group_values groups info info_complete is_consolidated items keys kinds
        members metadata move name nmembers ones ones_like path read_only require_array require_dataset require_group
        require_groups store store_path traverse tree update_attributes values zarr_format zeros zeros_like
    """,
    "ChunkCache": "clear counts decoded encoded",
    "CodecOptions": """
        concurrent_target inner_chunk_order missing_chunks replace store_empty_chunks unlocked_writes
        validate_checksums
    """,
    "PartialDecoder": "chunk exists partial_decode size_held",
    "PartialEncoder": "chunk erase partial_encode",
    "WriteSession": """
        append array blocks close discard flush name oindex shape staged store_array_subset store_chunk
        store_chunk_subset vindex
    """,
}


def test_public_names():
    assert sorted(tegula.__all__) == sorted(NAMES.split())


@pytest.mark.parametrize("name", MEMBERS)
def test_members(name):
    found = {member for member in dir(getattr(tegula, name)) if not member.startswith("_")}
    twins = {member for member in found if member.startswith("async_")}
    assert sorted(found - twins) == sorted(MEMBERS[name].split())


def test_config_has_every_option():
    options = set(MEMBERS["CodecOptions"].split()) - {"replace"}
    found = {member for member in dir(tegula.config) if not member.startswith("_")}
    assert found == options | {"requests", "set", "threads"}


ASDF_NAMES = """
AmbiguousResultError AsdfArray AsdfConfig AsdfFile IntegerType Reference SearchResult Stream TaggedDict TaggedList
TaggedString ValidationError __version__ accelerate chunked config_context dump dumps get_config info load loads open
open_node
"""


def test_public_names_of_asdf():
    assert sorted(tegula.asdf.__all__) == sorted(ASDF_NAMES.split())


STORE_NAMES = """
FilesystemStore MappingStore MemoryStore ObjectZipStore ReadOnlyStore RemoteStore StorageOptions Store StoreLike
ZipStore as_store locate_file
"""


def test_public_names_of_stores():
    assert sorted(tegula.stores.__all__) == sorted(STORE_NAMES.split())


def public():
    for module in (tegula, tegula.asdf, tegula.stores):
        yield module.__name__, module
        for name in module.__all__:
            value = getattr(module, name)
            full = f"{module.__name__}.{name}"
            if callable(value):
                yield full, value
            if inspect.isclass(value):
                ours = [base for base in value.__mro__ if base.__module__.partition(".")[0] == "tegula"]
                for member, found in {
                    name: item for base in reversed(ours) for name, item in vars(base).items()
                }.items():
                    # Slots are documented in the class.
                    if not member.startswith("_") and not inspect.ismemberdescriptor(found):
                        yield f"{full}.{member}", inspect.getattr_static(value, member)


@pytest.mark.parametrize(("name", "value"), [pytest.param(*item, id=item[0]) for item in public()])
def test_docstrings_are_there_and_their_examples_run(name, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert inspect.getdoc(value), f"{name} has no docstring"
    globs = {"tegula": tegula, "np": np}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    text = inspect.getdoc(value)
    test = doctest.DocTestParser().get_doctest(text, globs, name, None, 0)
    if np.lib.NumpyVersion(np.__version__) < "2.0.0":
        pytest.skip("NumPy 1 shows scalars otherwise")
    report = []
    runner.run(test, out=report.append)
    assert not runner.summarize(verbose=False).failed, "".join(report)


def test_classes_come_from_the_package():
    for name in tegula.__all__:
        value = getattr(tegula, name)
        if inspect.isclass(value):
            assert value.__module__.partition(".")[0] == "tegula"
            assert value.__name__ == name


def test_importing_is_light():
    code = "import sys, numpy; before = set(sys.modules); import tegula; print(*sorted(set(sys.modules) - before))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    others = {name.partition(".")[0] for name in found} - {"tegula", "numpy"} - set(sys.stdlib_module_names)
    assert not others
    assert not {"asyncio", "concurrent", "multiprocessing"} & {name.partition(".")[0] for name in found}
