package server

// States are all states of a server.
func States() []State {
	return []State{StateRunning, StateStarting, StateRestarting, StateStopping, StateStopped, StateFailed, StateUnknown}
}

// Drifts are all kinds of drift, but for none.
func Drifts() []Drift {
	return []Drift{DriftMasked, DriftMissing, DriftDown, DriftFlapping, DriftNotEnabled}
}

// JobKinds are all kinds of jobs.
func JobKinds() []JobKind {
	return []JobKind{
		JobInstall, JobCheck, JobInitialize, JobStart, JobStop, JobRestart, JobReset, JobDelete,
		JobAdopt, JobDisableOrphan, JobBackup, JobRestore,
	}
}

// JobResults are the states in which a job ends.
func JobResults() []JobState { return []JobState{JobSucceeded, JobFailed, JobCanceled} }
