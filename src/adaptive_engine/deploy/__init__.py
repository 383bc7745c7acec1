"""Where engines run when one machine is not enough: `ray/`, replicas of a model on the nodes of a Ray cluster."""
