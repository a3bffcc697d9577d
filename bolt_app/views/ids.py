"""What the app's buttons and modals are called, so that their listeners know them."""

FLOW_ACTIVATE = "flow_activate"
FLOW_DEACTIVATE = "flow_deactivate"
FLOW_TEST = "flow_test"
FLOW_SHOW = "flow_show"
FLOW_RUNS = "flow_runs"
FLOWS_PAGE = "flows_page"
RUNS_PAGE = "runs_page"
RUN_SHOW = "run_show"
RUN_RETRY = "run_retry"
#: Ends the name of the second of two like buttons: within a block no name comes twice.
NEXT = "_next"

#: Ends the name of a button of one thing that is shown by itself, not in a list.
ALONE = "_alone"

TEST_FORM = "test_form"
TEST_WARNING = "test_warning"
